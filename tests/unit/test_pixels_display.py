import numpy as np

from p2d.pixels.display import ends_of_range


def test_ends_of_the_range_stand_alone_in_three_shades() -> None:
    samples = np.full((40, 40), 900, np.int16)
    samples[::4] = 300  # structures
    samples[8:12, 8:20] = 4095
    samples[20:24, 8:20] = -1000
    samples[30, 30:33] = 4095  # three pixels are no letter

    shades = ends_of_range(samples)

    expected = np.full((40, 40), 128, np.uint8)
    expected[8:12, 8:20] = 255
    expected[20:24, 8:20] = 0
    assert shades.shape == (40, 40, 3)
    for colour in range(3):
        assert np.array_equal(shades[..., colour], expected)


def test_what_lossy_compression_moved_a_little_still_counts_as_an_end() -> None:
    samples = np.full((20, 20), 100, np.uint8)
    samples[2:6, 2:10] = [[255, 254, 253, 252] * 2] * 4
    samples[10:14, 2:10] = [[0, 1, 2, 3] * 2] * 4
    samples[16:19, 2:10] = 245

    shades = ends_of_range(samples)[..., 0]

    assert (shades[2:6, 2:10] == 255).all()
    assert (shades[10:14, 2:10] == 0).all()
    assert (shades[16:19, 2:10] == 128).all()


def test_letters_in_a_full_colour_and_in_black_are_ends_of_a_colour_picture() -> None:
    picture = np.full((20, 20, 3), 90, np.uint8)
    picture[2:6, 2:10] = (255, 160, 20)
    picture[10:14, 2:10] = 0

    shades = ends_of_range(picture)[..., 0]

    assert (shades[2:6, 2:10] == 255).all()
    assert (shades[10:14, 2:10] == 0).all()
    assert np.count_nonzero(shades != 128) == 64


def test_a_picture_of_one_value_has_one_shade() -> None:
    assert (ends_of_range(np.full((16, 16), 7, np.uint16)) == 255).all()
