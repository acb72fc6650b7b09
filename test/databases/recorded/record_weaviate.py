"""Records what the official Python client sends, beside what record-weaviate.ts records of the JavaScript one.

(start a server as record-weaviate.ts says)
python test/databases/recorded/record_weaviate.py 18080 50051
"""

import base64
import http.client
import json
import pathlib
import struct
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import weaviate
from weaviate.classes.aggregate import GroupByAggregate
from weaviate.classes.config import Configure, DataType, Property, ReferenceProperty
from weaviate.classes.data import DataObject, DataReference
from weaviate.classes.query import Filter, GroupBy, MetadataQuery, QueryReference, Sort, TargetVectors
from weaviate.classes.tenants import Tenant

REST, GRPC = int(sys.argv[1]), int(sys.argv[2])
FOLDER = pathlib.Path(__file__).parent / "weaviate-python" / weaviate.__version__
heard = []


class Rest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        heard.append({"method": self.command, "target": self.path, "headers": headers, "body": body.decode() or None})
        forward = http.client.HTTPConnection("127.0.0.1", REST)
        forward.request(self.command, self.path, body or None, {"content-type": headers.get("content-type", "application/json")})
        got = forward.getresponse()
        data = got.read()
        forward.close()
        self.send_response(got.status)
        self.send_header("content-type", got.getheader("content-type") or "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, *_):
        pass


class Rpc(grpc.GenericRpcHandler):
    def __init__(self):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{GRPC}")

    def service(self, details):
        headers = {"content-type": "application/grpc", **{key: str(value) for key, value in details.invocation_metadata}}

        def run(message, context):
            framed = struct.pack(">BI", 0, len(message)) + message
            heard.append(
                {"method": "POST", "target": details.method, "headers": headers, "body": None, "base64": base64.b64encode(framed).decode()}
            )
            try:
                return self.channel.unary_unary(details.method)(message)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.unary_unary_rpc_method_handler(run)


def step(name, act):
    """Writes the requests of one step; what the local server does not do is recorded all the same."""
    heard.clear()
    result = None
    try:
        result = act()
    except Exception as error:
        print(f"{name}: {str(error)[:200]}")
    for index, one in enumerate(heard):
        file = FOLDER / (f"{name}.json" if len(heard) == 1 else f"{name}-{index + 1}.json")
        file.write_text(json.dumps({"request": one, "want": None}, indent=2, ensure_ascii=False) + "\n")
    return result


def uuid(last):
    return f"00000000-0000-4000-8000-{last:012d}"


VECTOR = [0.25, -0.5, 1]


def record(client):
    step("is-ready", client.is_ready)
    step(
        "create-author",
        lambda: client.collections.create(
            "Author",
            properties=[Property(name="name", data_type=DataType.TEXT)],
            vector_config=Configure.Vectors.self_provided(),
            multi_tenancy_config=Configure.multi_tenancy(enabled=True),
        ),
    )
    docs = step(
        "create-class",
        lambda: client.collections.create(
            "Doc",
            properties=[
                Property(name="title", data_type=DataType.TEXT),
                Property(name="page", data_type=DataType.INT),
                Property(name="tags", data_type=DataType.TEXT_ARRAY),
            ],
            references=[ReferenceProperty(name="hasAuthor", target_collection="Author")],
            vector_config=Configure.Vectors.self_provided(),
            multi_tenancy_config=Configure.multi_tenancy(enabled=True),
        ),
    )
    pairs = step(
        "create-class-named-vectors",
        lambda: client.collections.create(
            "Pair",
            vector_config=[
                Configure.Vectors.self_provided(name="title"),
                Configure.Vectors.self_provided(name="body"),
                Configure.MultiVectors.self_provided(name="parts"),
            ],
        ),
    )
    step("class-exists", lambda: client.collections.exists("Doc"))
    step("get-class", docs.config.get)
    step("list-classes", client.collections.list_all)
    step("create-tenants", lambda: docs.tenants.create([Tenant(name="acme"), Tenant(name="globex")]))
    authors = client.collections.get("Author")
    authors.tenants.create([Tenant(name="acme")])
    step("get-tenants", lambda: docs.tenants.get_by_names(["acme"]))
    step("tenant-exists", lambda: docs.tenants.exists("acme"))
    step("list-tenants", docs.tenants.get)
    acme = docs.with_tenant("acme")
    write(acme, pairs, authors.with_tenant("acme"))
    search(acme, pairs)
    step("delete-class", lambda: client.collections.delete("Pair"))


def write(acme, pairs, authors):
    step("insert", lambda: acme.data.insert({"title": "one", "page": 1, "tags": ["x", "y"]}, uuid=uuid(1), vector=VECTOR))
    step(
        "insert-many",
        lambda: acme.data.insert_many(
            [
                DataObject({"title": "two", "tags": []}, uuid=uuid(2), vector=VECTOR),
                DataObject({"title": "zwei äöü", "page": 3}, uuid=uuid(3), vector=[1, 2, 3]),
            ]
        ),
    )
    step(
        "insert-named-vectors",
        lambda: pairs.data.insert({}, uuid=uuid(5), vector={"title": VECTOR, "body": [1, 0], "parts": [[1, 2], [3, 4]]}),
    )
    step(
        "insert-many-named-vectors",
        lambda: pairs.data.insert_many([DataObject({}, uuid=uuid(6), vector={"title": VECTOR, "body": [0, 1], "parts": [[1, 2], [3, 4]]})]),
    )

    def dynamic():
        with acme.batch.fixed_size(10) as batch:
            batch.add_object({"title": "batched"}, uuid=uuid(7), vector=VECTOR)

    step("batch", dynamic)
    authors.data.insert({"name": "Ada"}, uuid=uuid(20))
    step("reference-add", lambda: acme.data.reference_add(uuid(1), "hasAuthor", uuid(20)))
    step(
        "reference-add-many",
        lambda: acme.data.reference_add_many([DataReference(from_uuid=uuid(2), from_property="hasAuthor", to_uuid=uuid(20))]),
    )
    step("replace", lambda: acme.data.replace(uuid(1), {"title": "uno"}, vector=[1, 0, 0]))
    step("update", lambda: acme.data.update(uuid(1), {"page": 2}))
    step("exists", lambda: acme.data.exists(uuid(1)))
    step("delete-by-id", lambda: acme.data.delete_by_id(uuid(7)))
    step("delete-many", lambda: acme.data.delete_many(Filter.by_property("page").greater_than(2), dry_run=True, verbose=True))


def search(acme, pairs):
    step("fetch-objects", lambda: acme.query.fetch_objects(limit=3, sort=Sort.by_property("page")))
    step("fetch-object-by-id", lambda: acme.query.fetch_object_by_id(uuid(1), include_vector=True))
    step("iterate", lambda: next(iter(acme.iterator()), None))
    step("near-vector", lambda: acme.query.near_vector(VECTOR, limit=5, return_metadata=MetadataQuery(distance=True)))
    step(
        "near-vector-filtered",
        lambda: acme.query.near_vector(
            VECTOR,
            limit=5,
            include_vector=True,
            filters=Filter.by_property("page").greater_than(0) & Filter.by_property("tags").contains_any(["x"]),
        ),
    )
    step(
        "near-vector-grouped",
        lambda: acme.query.near_vector(VECTOR, limit=5, group_by=GroupBy(prop="title", objects_per_group=2, number_of_groups=3)),
    )
    step("near-object", lambda: acme.query.near_object(uuid(1), limit=2))
    step("bm25", lambda: acme.query.bm25("one", limit=4))
    step("hybrid", lambda: acme.query.hybrid("one", vector=VECTOR, alpha=0.5, limit=4))
    step("hybrid-without-vector", lambda: acme.query.hybrid("one", limit=4))
    step("near-text", lambda: acme.query.near_text("one", limit=4))
    step(
        "with-references",
        lambda: acme.query.fetch_objects(limit=2, return_references=QueryReference(link_on="hasAuthor", return_properties=["name"])),
    )
    step("near-named-vector", lambda: pairs.query.near_vector(VECTOR, target_vector="title", include_vector=["title"]))
    step(
        "near-several-vectors",
        lambda: pairs.query.near_vector({"title": VECTOR, "body": [1, 0]}, target_vector=TargetVectors.average(["title", "body"])),
    )
    step("near-multi-vector", lambda: pairs.query.near_vector([[1, 2], [3, 4]], target_vector="parts"))
    step("aggregate", lambda: acme.aggregate.over_all(total_count=True))
    step("aggregate-near-vector", lambda: acme.aggregate.near_vector(VECTOR, object_limit=10, total_count=True))
    step("aggregate-grouped", lambda: acme.aggregate.over_all(group_by=GroupByAggregate(prop="title", limit=7)))
    step("count", lambda: len(acme))


FOLDER.mkdir(parents=True, exist_ok=True)
rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
threading.Thread(target=rest.serve_forever, daemon=True).start()
rpc = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Rpc()])
rpc_port = rpc.add_insecure_port("127.0.0.1:0")
rpc.start()
connected = step(
    "connect",
    lambda: weaviate.connect_to_custom(
        http_host="127.0.0.1", http_port=rest.server_port, http_secure=False, grpc_host="127.0.0.1", grpc_port=rpc_port, grpc_secure=False
    ),
)
record(connected)
connected.close()
rpc.stop(None)
