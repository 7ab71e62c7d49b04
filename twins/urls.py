"""The addresses of the plugin, below whatever prefix the host project gives them."""

from django.urls import path

from twins.graphql.views import graphql
from twins.http.health import healthz
from twins.http.ingest import ingest

app_name = "twins"

urlpatterns = [
    path("graphql/", graphql, name="graphql"),
    path("ingest", ingest, name="ingest"),
    path("healthz", healthz, name="healthz"),
]
