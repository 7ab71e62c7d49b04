"""Addresses of the stand-alone project: the admin, and the twins at the root."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("twins.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
