"""Weights and assets lie beside the package in a checkout; installed, they are folders hsm_weights and hsm_assets."""

from setuptools import find_packages, setup

BESIDE = {"hsm_weights": "weights", "hsm_assets": "assets"}

setup(
    packages=[*find_packages(include=["hsm*"]), *BESIDE],
    package_dir=BESIDE,
    package_data={name: ["**/*"] for name in BESIDE} | {"hsm": ["**/*.csv", "**/*.txt"]},
)
