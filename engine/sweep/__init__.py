"""Sweeps: one job for every combination of settings, on this machine, a SLURM cluster or a Ray cluster.

``plan``: which jobs, and their names. ``status``: what is known of each, one small file per job, so that any launcher
on any machine can be watched and continued. ``report``, ``view``: what a person sees. ``local``, ``slurm``, ``ray``:
who runs the jobs. No JAX is imported here.
"""
