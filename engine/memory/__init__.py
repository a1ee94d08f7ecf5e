"""Memory of a job: what it will take, what there is, what it has taken, and what to do where there is too little.

Nothing here changes a number: passes and blocks get smaller, and every score stays what it was.
"""
