"""Queries A to D written by hand as one statement each, with the predicate of a viewer, giving the very bytes of ours.

There is no faster form known to us: `concat` of columns instead of JSON functions, pages cut before a text is written.
A is there twice, because it depends on the plant whether looking up or grouping wins, and D, because it depends on
what is seen whether all of health or that of the one tree is gone through; the faster one is compared with.
"""

from __future__ import annotations

_ASSET, _SENSOR = "twins_assets_asset", "twins_assets_sensor"
_SEEN = "{0}.path && %(tops)s::bigint[]"
_TIME = """to_char({0} at time zone interval '0', '"\\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\\""')"""


def _health(row: str, inner: str) -> str:
    return f"coalesce((select concat({inner}) from twins_assessment h where h.asset_id = {row}.id), 'null')"


def _nodes(made: str, rows: str, alias: str) -> str:
    return f"coalesce((select string_agg(concat({made}), ',') from ({rows}) {alias}), '')"


def _page(alias: str, columns: str, where: str, first: str) -> str:
    seen = _SEEN.format(alias)
    order = f"order by {alias}.tag, {alias}.id limit {first}"
    return f"select {columns} from {_ASSET} {alias} where {where} and {seen} {order}"


_SCORE = """'{"score":', h.health, '}'"""
_COVERED = """'{"score":', h.health, ',"coverage":', h.coverage, '}'"""
_LATEST = (
    f"""coalesce((select concat('{{"value":', r.value, ',"time":', {_TIME.format("r.time")}, '}}') """
    "from twins_latestreading r where r.sensor_id = s.id), 'null')"
)
_SENSORS = _nodes(
    f"""'{{"name":', to_json(s.name), ',"unit":', to_json(s.unit), ',"latest":', {_LATEST}, '}}'""",
    f"select s.id, s.name, s.unit from {_SENSOR} s where s.asset_id = part.id order by s.name, s.id limit 4",
    "s",
)
_PART = f"""'{{"name":', to_json(part.name), ',"health":', {_health("part", _COVERED)}"""
_PARTS = _nodes(
    _PART + f""", ',"sensors":{{"nodes":[', {_SENSORS}, ']}}}}'""",
    _page("p", "p.id, p.name", "p.parent_id = product.id and p.level = 'part'", "50"),
    "part",
)
_PRODUCT = f"""'{{"name":', to_json(product.name), ',"health":', {_health("product", _SCORE)}"""
_PRODUCTS = _nodes(
    _PRODUCT + f""", ',"parts":{{"nodes":[', {_PARTS}, ']}}}}'""",
    _page("p", "p.id, p.name", "p.parent_id = system.id and p.level = 'product'", "100"),
    "product",
)
_SYSTEM = (
    f"""'{{"data":{{"system":{{"name":', to_json(system.name), ',"health":', {_health("system", _SCORE)}, """
    """',"products":{"nodes":[', {products}, ']}}}}' """
)
_OF_SYSTEM = f"from {_ASSET} system where system.tag = %(tag)s and system.level = 'system' and {_SEEN.format('system')}"

_GROUPED = f"""with product as materialized ({
    _page("p", "p.id, p.name, p.tag", f"p.parent_id = (select system.id {_OF_SYSTEM}) and p.level = 'product'", "100")
}),
part as materialized (select p.* from product cross join lateral ({
    _page("p", "p.id, p.parent_id, p.name, p.tag", "p.parent_id = product.id and p.level = 'part'", "50")
}) p),
sensors as (select s.asset_id, string_agg(concat('{{"name":', to_json(s.name), ',"unit":', to_json(s.unit),
    ',"latest":', case when r.sensor_id is null then 'null' else concat('{{"value":', r.value, ',"time":',
    {_TIME.format("r.time")}, '}}') end, '}}'), ',' order by s.name, s.id) as made
    from part join {_SENSOR} s on s.asset_id = part.id left join twins_latestreading r on r.sensor_id = s.id
    group by s.asset_id),
parts as (select part.parent_id, string_agg(concat('{{"name":', to_json(part.name), ',"health":',
    case when h.asset_id is null then 'null' else concat({
    _COVERED
}) end, ',"sensors":{{"nodes":[', sensors.made, ']}}}}'),
    ',' order by part.tag, part.id) as made
    from part left join twins_assessment h on h.asset_id = part.id left join sensors on sensors.asset_id = part.id
    group by part.parent_id),
products as (select string_agg(concat('{{"name":', to_json(product.name), ',"health":',
    case when h.asset_id is null then 'null' else concat({_SCORE}) end, ',"parts":{{"nodes":[', parts.made, ']}}}}'),
    ',' order by product.tag, product.id) as made
    from product left join twins_assessment h on h.asset_id = product.id
    left join parts on parts.parent_id = product.id)
select concat({_SYSTEM.replace("{products}", "(select made from products)")}) {_OF_SYSTEM}"""

_B_PARTS = _nodes(
    _PART + ", '}'", _page("p", "p.id, p.name", "p.parent_id = product.id and p.level = 'part'", "20"), "part"
)
_B_PRODUCTS = _nodes(
    _PRODUCT + f""", ',"parts":{{"nodes":[', {_B_PARTS}, ']}}}}'""",
    _page("p", "p.id, p.name", "p.parent_id = system.id and p.level = 'product'", "50"),
    "product",
)


def _above(row: str, alias: str, made: str) -> str:
    rows = f"from {_ASSET} {alias} where {alias}.id = {row}.parent_id and {_SEEN.format(alias)}"
    return f"coalesce((select concat({made}) {rows}), 'null')"


_C_ANCESTORS = (
    """coalesce((select string_agg(concat('{"name":', to_json(a.name), ',"health":', """
    + _health("a", _SCORE)
    + f""", '}}'), ',' order by array_position(part.path, a.id)) from {_ASSET} a
    where a.id = any(part.path) and a.id <> part.id and {_SEEN.format("a")}), '')"""
)
_D_PARENT = _above(
    "w",
    "p",
    """'{"name":', to_json(p.name), ',"parent":', """
    + _above("p", "q", """'{"name":', to_json(q.name), '}'""")
    + ", '}'",
)


def _worst(seen: str) -> str:
    return f"""select concat('{{"data":{{"worst":{{"nodes":[', (select string_agg(concat('{{"name":', to_json(w.name),
        ',"health":{{"score":', w.health, ',"coverage":', w.coverage, '}},"parent":', {_D_PARENT}, '}}'), ',')
        from (select t.id, t.name, t.parent_id, h.health, h.coverage from twins_assessment h
        join {_ASSET} t on t.id = h.asset_id where t.level = 'part' and {seen}
        order by h.health, t.id limit 50) w), ']}}}}}}')"""


RAW: dict[str, tuple[str, ...]] = {
    "a": (
        f"select concat({_SYSTEM.replace('{products}', _PRODUCTS)}) {_OF_SYSTEM}",
        _GROUPED,
    ),
    "b": (
        f"""select concat('{{"data":{{"system":{{"products":{{"nodes":[', {_B_PRODUCTS}, ']}}}}}}}}') {_OF_SYSTEM}""",
    ),
    "c": (
        f"""select concat('{{"data":{{"twin":', {_PART}, ',"ancestors":[', {_C_ANCESTORS},
        '],"sensors":{{"nodes":[', {_SENSORS}, ']}}}}}}}}')
        from {_ASSET} part where part.tag = %(part)s and {_SEEN.format("part")} limit 2""",
    ),
    "d": (
        _worst(_SEEN.format("t")),
        # The predicate is hidden from the planner, which would expect a small part of a small part.
        _worst(f"h.path[1] = %(top)s and coalesce({_SEEN.format('t')}, false)"),
    ),
}
"""Statements by query, with the parameters tag, part, tops and the one top; each gives one row of one text."""

OURS: dict[str, str] = {
    "a": """query($tag: String!) { system(tag: $tag) { name health { score } products(first: 100) { nodes {
        name health { score } parts(first: 50) { nodes { name health { score coverage }
        sensors(first: 4) { nodes { name unit latest { value time } } } } } } } } }""",
    "b": """query($tag: String!) { system(tag: $tag) { products(first: 50) { nodes { name health { score }
        parts(first: 20) { nodes { name health { score coverage } } } } } } }""",
    "c": """query($part: String!) { twin(tag: $part) { name health { score coverage }
        ancestors { name health { score } } sensors(first: 4) { nodes { name unit latest { value time } } } } }""",
    "d": """query { worst(level: PART, first: 50) { nodes { name health { score coverage }
        parent { name parent { name } } } } }""",
}
"""The same through the API."""
