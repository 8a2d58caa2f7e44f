"""The one way in which a setting is refused."""

from thumbnet.errors import ConfigError


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Refuses a setting's value.

    Raises:
        ConfigError: If `holds` is false; it names the setting, its value and what is allowed.
    """
    if not holds:
        raise ConfigError(f"{name} is {value}, but must be {allowed}")
