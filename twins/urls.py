"""The addresses of the plugin, below whatever prefix the host project gives them."""

from django.urls import path

from twins.graphql.views import graphql
from twins.http import influx
from twins.http.health import healthz
from twins.http.ingest import ingest

app_name = "twins"

urlpatterns = [
    path("graphql/", graphql, name="graphql"),
    path("ingest", ingest, name="ingest"),
    path("api/v2/write", influx.write, name="influx_v2_write"),
    path("write", influx.write, name="influx_write"),
    path("ping", influx.ping, name="influx_ping"),
    path("health", influx.health, name="influx_health"),
    path("query", influx.query, name="influx_query"),
    path("healthz", healthz, name="healthz"),
]
