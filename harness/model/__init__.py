"""Plain data that crosses floors, processes and machines.

Every class here is a frozen dataclass without behaviour, made of JSON's types,
paths and each other, so that :class:`pydantic.TypeAdapter` serialises it as it stands.
Times are seconds, sizes are bytes unless a field's name says otherwise.
"""
