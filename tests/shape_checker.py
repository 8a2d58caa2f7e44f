"""Checks annotations at run time, tensor shapes included; takes an int where a float is asked for, as PEP 484 does."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
