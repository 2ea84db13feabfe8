"""The shipped classifiers stand at the top of the repository, where a pack of nodes has them; in the wheel they are a
folder of the package. Everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[
        *find_namespace_packages(include=["learn_to_steer", "learn_to_steer.*"]),
        "learn_to_steer.classifier_weights",
    ],
    package_dir={"learn_to_steer.classifier_weights": "classifier_weights"},
)
