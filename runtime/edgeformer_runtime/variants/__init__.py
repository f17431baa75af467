"""A bundle's variants on this device: ``selection`` takes one, ``self_check`` tries it, ``execution`` feeds it."""
