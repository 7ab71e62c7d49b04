"""Settings of the stand-alone project: the environment first, else what `up` made below the data directory.

Importing this makes nothing. Variables: DATABASE_URL, REDIS_URL, TWINS_DATA (data directory), TWINS_SECRET_KEY,
TWINS_HOSTS (names this service is reached by, separated by commas), TWINS_HTTPS=1 (behind a proxy that speaks TLS),
TWINS_DEBUG=1,
TWINS_ORIGINS (other origins whose scripts may use the API, separated by commas).
"""

from __future__ import annotations

import importlib.util
import os
import secrets
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from config import embedded

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TWINS_DATA") or ROOT / ".data").resolve()
_ADDRESSES = {**embedded.known_addresses(DATA), **os.environ}
_KNOWN_SECRETS = embedded.read_secrets(DATA)


def _database(address: str) -> dict[str, Any]:
    """Django's dictionary for an address that psql takes."""
    parts: dict[str, Any] = dict(conninfo_to_dict(address))
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    fields = {field: parts.pop(name, None) or "" for field, name in names.items()}
    parts.setdefault("connect_timeout", 5)  # a server that hangs is an error, not a wait without end
    return {"ENGINE": "django.db.backends.postgresql", **fields, "OPTIONS": parts, "CONN_HEALTH_CHECKS": True}


def _flag(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0", "no", "false")


# Before the first start nothing is signed, so a key that lives as long as this process is enough.
SECRET_KEY = (
    os.environ.get("TWINS_SECRET_KEY") or (_KNOWN_SECRETS and _KNOWN_SECRETS.django) or secrets.token_urlsafe(48)
)
DEBUG = _flag("TWINS_DEBUG")


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


_HOSTS = _names("TWINS_HOSTS")
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *_HOSTS]

# Cookies that only travel over TLS would lock out a browser on plain http://127.0.0.1, which is how `up` starts.
_HTTPS = _flag("TWINS_HTTPS")
CSRF_TRUSTED_ORIGINS = [f"https://{name}" for name in _HOSTS] if _HTTPS else []
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # asked from the machine itself, without a proxy
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

_THEME = [name for name in ("unfold",) if importlib.util.find_spec(name)]
INSTALLED_APPS = [
    *_THEME,
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "channels",
    "assets",
    "twins",
    "config",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
STATIC_URL = "static/"
LOGIN_REDIRECT_URL = "admin:index"  # the theme's login page forgets where it should lead to
UNFOLD = {"SITE_TITLE": "Asset twins", "SITE_HEADER": "Asset twins"}

DATABASES = {"default": _database(_ADDRESSES.get("DATABASE_URL", "postgresql:///twins"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"

REDIS_URL = _ADDRESSES.get("REDIS_URL", "redis://127.0.0.1:6379/0")
TWINS = {"REDIS_URL": REDIS_URL, "LAKE": DATA / "lake", "ORIGINS": _names("TWINS_ORIGINS")}

CELERY_BROKER_URL = REDIS_URL
# Results are rows in PostgreSQL; nothing asks Celery for one.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 900
# Kilobytes that a process of the worker may ever have had before it is replaced after its task. A full round of
# compaction stays below; each replacement costs a while, until models are loaded again.
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 1_000_000
# A message of a killed worker comes back within 15 s, and never while the longest task may still run.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 1200,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
