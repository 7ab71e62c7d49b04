"""The base classes of every admin page: django-unfold's where the host has installed it, else Django's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime

if TYPE_CHECKING or not apps.is_installed("unfold"):
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
    FileInput = forms.FileInput
    SplitDateTime = AdminSplitDateTime
else:
    from unfold.admin import ModelAdmin, TabularInline
    from unfold.widgets import UnfoldAdminFileFieldWidget as FileInput
    from unfold.widgets import UnfoldAdminSplitDateTimeWidget as SplitDateTime

__all__ = ["FileInput", "ModelAdmin", "SplitDateTime", "TabularInline"]
