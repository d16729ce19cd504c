"""The wheel holds a program: it is of one platform, and of every Python 3."""

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.dist import Distribution


class Platform(Distribution):
    """A distribution of one platform."""

    def has_ext_modules(self) -> bool:
        """Tell that there is something of the platform's."""
        return True


class Wheel(bdist_wheel):
    """A wheel for every Python 3 of this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of the wheel's name."""
        return "py3", "none", super().get_tag()[2]


setup(distclass=Platform, cmdclass={"bdist_wheel": Wheel})
