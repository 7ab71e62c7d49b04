"""Settings of the host. PLANTCO_FAULT breaks one thing on purpose."""

import os

from psycopg.conninfo import conninfo_to_dict

FAULT = os.environ.get("PLANTCO_FAULT")
SECRET_KEY = "host"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "plantco.urls"
AUTH_USER_MODEL = "people.Person"
LOGIN_URL = "/people/sign-in/"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
LANGUAGE_CODE = "de"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.postgres",
    "plantco.people",
    *([] if FAULT == "no assets" else ["assets"]),
    "twins",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

_address = conninfo_to_dict(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _address.get("dbname"),
        "USER": _address.get("user"),
        "PASSWORD": _address.get("password"),
        "HOST": _address.get("host"),
        "PORT": _address.get("port"),
        "ATOMIC_REQUESTS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

TWINS = {
    **({} if FAULT == "no Redis" else {"REDIS_URL": os.environ["REDIS_URL"]}),
    **({"RETENTION": 7} if FAULT == "unknown key" else {}),
    "LAKE": os.environ["PLANTCO_LAKE"],
    "KEY_PREFIX": "plantco",
}
CHANNEL_LAYERS = {"default": {"BACKEND": "plantco.layers.Untouched"}}
