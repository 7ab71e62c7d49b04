"""The twins: what the assets are doing, what they did and what they will do.

Promise: a reading that was acknowledged is kept once, feeds features, predictions and subscribers, and is found again
from system to product to part. Reason: a record becomes a twin by live data and by models acting on it. Imports run
one way, held by the tests: `apps urls routing > graphql http admin management checks > tasks > services > selectors
events > models > engines > sources sinks ml > lake > conf signals schedules > exceptions`; `lake`, `ml`, `sources`,
`sinks` and `engines` know neither Django nor the settings. Nothing here may import `config`.
"""
