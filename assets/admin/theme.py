"""The base classes of every admin page: django-unfold's where the host has installed it, else Django's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime, AdminTextInputWidget

if TYPE_CHECKING or not apps.is_installed("unfold"):
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
    FileInput = forms.FileInput
    SplitDateTime = AdminSplitDateTime
    StackedInline = admin.StackedInline
    TextInput = AdminTextInputWidget
else:
    from unfold.admin import ModelAdmin, StackedInline, TabularInline
    from unfold.widgets import UnfoldAdminFileFieldWidget as FileInput
    from unfold.widgets import UnfoldAdminSplitDateTimeWidget as SplitDateTime
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

__all__ = ["FileInput", "ModelAdmin", "SplitDateTime", "StackedInline", "TabularInline", "TextInput"]
