"""What is asked of the register.

Promise: each selector takes many ids and answers with a dict, in one statement however many ids it is given. Reason:
resolvers, pages and models ask for whole selections at once. Nothing here changes anything.
"""

from assets.selectors.declarations import declared_by_designs, declared_by_types, failure_modes_of
from assets.selectors.records import current_installations, installation_history, latest_events, sensors_of
from assets.selectors.relations import Reach, reached, relations_of
from assets.selectors.searching import FEW, keys_matching, matching
from assets.selectors.sensors import SensorSelection, select_sensors
from assets.selectors.tree import Node, ancestors, counted, subtree, tree_page

__all__ = [
    "FEW",
    "Node",
    "Reach",
    "SensorSelection",
    "ancestors",
    "counted",
    "current_installations",
    "declared_by_designs",
    "declared_by_types",
    "failure_modes_of",
    "installation_history",
    "keys_matching",
    "latest_events",
    "matching",
    "reached",
    "relations_of",
    "select_sensors",
    "sensors_of",
    "subtree",
    "tree_page",
]
