"""The register: what assets there are, how they are built and where each item runs.

Promise: the hierarchy of systems, products and parts, the designs they follow, the items built to them and the
installations that join the two are always consistent, because the database itself refuses what is not. Reason:
everything a twin says hangs on this structure. It must stand without the twins, so nothing here may import `twins` or
`config`.
"""
