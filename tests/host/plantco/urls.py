"""The twins stand below a prefix of the host's."""

from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("", lambda request: HttpResponse("plantco")),
    path("plant/twins/", include("twins.urls")),
]
