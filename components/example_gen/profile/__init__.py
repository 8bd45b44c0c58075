"""Profile the data to propose a configuration."""

from diptych.components.example_gen.profile.data_profile import DataProfile
from diptych.components.example_gen.profile.profile_data import profile_data

__all__ = ["DataProfile", "profile_data"]
