"""The stand-alone project: it runs the register and the twins on one machine with engines of its own.

Promise: `python3 manage.py up` needs Python and nothing else, and what it starts it also ends. Reason: a newcomer
should see the main job within minutes, on the engines that production uses. It is never shipped with the plugin;
`assets` and `twins` may not import it.
"""
