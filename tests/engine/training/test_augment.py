"""Random views: their distribution, and colours against the standard library and arithmetic written out."""

import colorsys

import numpy as np
from PIL import Image

from engine.training.augment import Jitter, View, draw_view, mirror, recolour, resized_part, turned

STILL = Jitter(0, 0, 0, 0, applied=1, grey=0)


def test_parts_lie_in_the_picture_with_the_published_areas_and_aspects() -> None:
    rng = np.random.default_rng(0)
    views = [draw_view(rng, 300, 400) for _ in range(4000)]
    area = np.array([view.height * view.width / 120000 for view in views])
    aspect = np.array([view.width / view.height for view in views])
    assert all(view.top >= 0 and view.top + view.height <= 300 for view in views)
    assert all(view.left >= 0 and view.left + view.width <= 400 for view in views)
    # Sides are whole pixels: of the smallest, 80 pixels, half of one is .6 %.
    assert 0.079 < area.min() < 0.09
    assert 0.95 < area.max() <= 1
    assert 0.745 < aspect.min() < 0.76
    assert 1.32 < aspect.max() < 1.345
    small = area < 0.5  # where every aspect fits: the area is uniform, the logarithm of the aspect uniform around 1
    assert abs(area[small].mean() - 0.29) < 0.015  # standard error .0026
    assert abs(np.log(aspect[small]).mean()) < 0.02  # .004
    assert abs(np.mean([view.mirrored for view in views]) - 0.5) < 0.04  # .008
    tops = np.array([view.top / (300 - view.height) for view in views if view.height < 200])
    assert abs(tops.mean() - 0.5) < 0.03
    assert tops.min() == 0
    assert tops.max() == 1


def test_of_a_narrow_picture_the_middle_is_taken_where_nothing_fits() -> None:
    rng = np.random.default_rng(0)
    for height, width, wanted in ((10, 400, (0, 193, 10, 13)), (400, 9, (194, 0, 12, 9))):
        assert draw_view(rng, height, width, (1.0, 1.0))[:4] == wanted
    assert draw_view(rng, 1, 1)[:4] == (0, 0, 1, 1)


def test_a_part_is_resized_as_pillow_does_and_mirrored() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    view = View(5, 7, 20, 16, mirrored=True)
    part = resized_part(image, view, 12, "bicubic")
    cropped = Image.fromarray(image).crop((7, 5, 23, 25)).resize((12, 12), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(part, np.asarray(cropped))
    np.testing.assert_array_equal(mirror(part, view), np.fliplr(part))
    np.testing.assert_array_equal(mirror(part, view._replace(mirrored=False)), part)
    whole = resized_part(image[:30, :30], View(0, 0, 30, 30, False), 30, "bilinear")
    np.testing.assert_array_equal(whole, image[:30, :30])


def test_colours_change_as_the_formulas_say() -> None:
    image = np.random.default_rng(1).integers(40, 200, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(recolour(np.random.default_rng(0), image, STILL._replace(applied=0)), image)
    for name in ("brightness", "contrast", "saturation"):
        rng, same = np.random.default_rng(0), np.random.default_rng(0)
        found = recolour(rng, image, STILL._replace(**{name: 0.5}))
        same.random()
        factors = [same.uniform(1 - by, 1 + by) for by in ((name == one) * 0.5 for one in STILL._fields[:3])]
        factor = next(factor for factor in factors if factor != 1)
        luma = np.asarray(Image.fromarray(image).convert("L")).astype(float)
        away = {"brightness": np.zeros(1), "contrast": np.round(luma.mean()), "saturation": luma[..., None]}[name]
        wanted = np.clip(away + factor * (image - away), 0, 255)
        assert np.abs(found - wanted).max() <= 1  # Pillow cuts off the fraction
        assert np.abs(found - image.astype(float)).mean() > 4


def test_grey_has_the_luma_of_the_picture() -> None:
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    found = recolour(np.random.default_rng(0), image, Jitter(applied=0, grey=1))
    luma = image @ (0.299, 0.587, 0.114)
    assert np.abs(found - luma[..., None]).max() <= 0.51  # rounding, and Pillow's 16-bit weights


def test_hues_turn_as_in_colorsys() -> None:
    image = np.random.default_rng(2).integers(0, 256, (6, 6, 3), np.uint8)
    found = np.asarray(turned(Image.fromarray(image), 1 / 3))
    for was, now in zip(image.reshape(-1, 3) / 255, found.reshape(-1, 3) / 255, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*was)
        wanted = colorsys.hsv_to_rgb((hue + 1 / 3) % 1, saturation, value)
        np.testing.assert_allclose(now, wanted, atol=8 / 255)  # hue in steps of 1/256: 6/256 of the range at most


def test_recolouring_happens_as_often_as_asked() -> None:
    image = np.full((2, 2, 3), (200, 100, 50), np.uint8)
    rng = np.random.default_rng(0)
    found = [recolour(rng, image, Jitter()) for _ in range(1000)]
    grey = np.mean([(one == one[..., :1]).all() for one in found])
    same = np.mean([(one == image).all() for one in found])
    assert 0.16 < grey < 0.27  # .2, and jitter that takes all saturation; three standard deviations are .038
    assert 0.12 < same < 0.2  # neither of the two: .2 x .8
