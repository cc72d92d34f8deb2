"""Scaling of images, which needs a package that is not always there."""

from __future__ import annotations

import sys

import pytest

from tests.config.loading import complaints, loaded


def test_it_is_off_and_can_be_turned_on() -> None:
    assert not loaded({}).scale_images
    assert loaded({"DRAGOMAN_SCALE_IMAGES": "true"}).scale_images


def test_a_missing_package_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.config.kinds.find_spec", lambda _: None)
    assert not loaded({"DRAGOMAN_SCALE_IMAGES": "false"}).scale_images
    needs = f"needs the package Pillow, which is not installed: {sys.executable} -m pip install 'dragoman[images]'"
    assert complaints({"DRAGOMAN_SCALE_IMAGES": "1"}) == [f"DRAGOMAN_SCALE_IMAGES {needs}"]
