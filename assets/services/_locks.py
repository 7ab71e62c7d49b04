"""Who may change what at one time. Locks are taken in one order: trees, then assets, then items, each by id."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection, models, transaction

from assets.models import Asset


def lock_trees(asset_ids: Iterable[int], *, shared: bool) -> None:
    """Hold the trees these assets stand in until the transaction ends.

    A tree is named by its root. While we wait its root may be moved below another one, so the roots are read again
    afterwards; what is read after this call is therefore true until the transaction ends. When there is another root,
    all are let go (by the savepoint) and taken anew: beside those held it could come out of order.
    """
    wanted = list(asset_ids)
    roots = _roots_of(wanted)
    while True:
        before = transaction.savepoint()
        _lock(sorted(roots), shared=shared)
        now = _roots_of(wanted)
        if now <= roots:
            transaction.savepoint_commit(before)
            return
        transaction.savepoint_rollback(before)
        roots = now


def hold_rows(model: type[models.Model], keys: Iterable[int]) -> None:
    """Hold rows until the transaction ends; who only refers to them does not wait."""
    rows = model._default_manager.select_for_update(no_key=True).filter(pk__in=set(keys))
    list(rows.order_by("pk").values_list("pk"))


def _roots_of(asset_ids: list[int]) -> set[int]:
    roots = Asset.objects.filter(pk__in=asset_ids).order_by().values_list("root_id", flat=True)
    return {root for root in roots if root is not None}


def _lock(roots: list[int], *, shared: bool) -> None:
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        # unnest keeps the order of the array, so all lockers go through the roots in the order of their ids.
        cursor.execute(
            f"SELECT {function}(hashtextextended('twins_assets.tree:' || root, 0))"  # noqa: S608
            " FROM unnest(%s::bigint[]) AS root",
            [roots],
        )
