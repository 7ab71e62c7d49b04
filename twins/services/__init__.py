"""What the twins do. Services are verbs: keyword-only, typed; each opens its transaction and publishes on commit.

They know neither Celery nor GraphQL, so that the admin, the API, the command line and a worker behave alike.
"""
