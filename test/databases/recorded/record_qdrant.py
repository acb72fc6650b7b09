"""Records what the official Python client sends, beside what record-qdrant.ts records of the JavaScript ones; it answers itself.

    python test/databases/recorded/record_qdrant.py
"""
import base64
import importlib.metadata
import json
import pathlib
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from qdrant_client import QdrantClient, models

FOLDER = pathlib.Path(__file__).parent / "qdrant-python" / importlib.metadata.version("qdrant-client")
heard = []


class Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers["host"] = "127.0.0.1:6333"
        heard.append({"method": self.command, "target": self.path, "headers": headers, "body": body.decode() or None})
        data = json.dumps({"title": "recorder", "version": "1.19.0", "status": "ok", "time": 0, "result": True}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, *_):
        pass


class GrpcRecorder(grpc.GenericRpcHandler):
    """Answers every method with an empty message."""

    def service(self, call):
        def heard_one(message, _):
            headers = {name: str(value) for name, value in call.invocation_metadata}
            headers["content-type"] = "application/grpc"
            frame = b"\0" + len(message).to_bytes(4, "big") + message
            heard.append({"method": "POST", "target": call.method, "headers": headers, "body": base64.b64encode(frame).decode()})
            return b""

        return grpc.unary_unary_rpc_method_handler(heard_one)


def step(name, act):
    heard.clear()
    try:
        act()
    except Exception as cause:
        # The answers are no answers; only a call that was not made is worth a word.
        if not heard:
            print(f"{name}: {cause}")
    for index, request in enumerate(heard):
        file = f"{name}.json" if len(heard) == 1 else f"{name}-{index + 1}.json"
        (FOLDER / file).write_text(json.dumps({"request": request, "want": None}, indent=2, ensure_ascii=False) + "\n")


recorder = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=recorder.serve_forever, daemon=True).start()
server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((GrpcRecorder(),))
grpc_port = server.add_insecure_port("127.0.0.1:0")
server.start()
FOLDER.mkdir(parents=True, exist_ok=True)

VECTOR = [0.25, -0.5, 1.0, 0.0078125]
MINE = models.Filter(must=[models.FieldCondition(key="tenant_id", match=models.MatchValue(value="acme"))])
POINTS = [
    models.PointStruct(id=1, vector=VECTOR, payload={"tenant_id": "acme", "page": 1}),
    models.PointStruct(id="5c56c793-69f3-4fbf-87e6-c4bf54c28c26", vector={"text": VECTOR}, payload={"tenant_id": "acme"}),
]
SPARSE = models.SparseVector(indices=[1, 7], values=[0.5, 2.0])


def record(client, prefix):
    def each(name, act):
        step(f"{prefix}{name}", act)

    each("create-collection", lambda: client.create_collection("docs", vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE)))
    each("create-index", lambda: client.create_payload_index("docs", "tenant_id", models.KeywordIndexParams(type="keyword", is_tenant=True)))
    each("collection-exists", lambda: client.collection_exists("docs"))
    each("get-collection", lambda: client.get_collection("docs"))
    each("get-collections", client.get_collections)
    each("upsert", lambda: client.upsert("docs", POINTS))
    each("upload", lambda: client.upload_points("docs", POINTS, batch_size=8, max_retries=1))
    each("query", lambda: client.query_points("docs", query=VECTOR, limit=3))
    each("query-id", lambda: client.query_points("docs", query=7, with_vectors=True))
    each("scroll", lambda: client.scroll("docs", limit=5))
    each("retrieve", lambda: client.retrieve("docs", [1, 2]))
    each("delete", lambda: client.delete("docs", [1, 2]))
    each("shard", lambda: client.query_points("docs", query=VECTOR, shard_key_selector="acme"))
    each("filter-query", lambda: client.query_points("docs", query=VECTOR, query_filter=MINE, limit=3, search_params=models.SearchParams(hnsw_ef=64)))
    each(
        "filter-hybrid",
        lambda: client.query_points(
            "docs",
            prefetch=[
                models.Prefetch(query=VECTOR, using="text", filter=MINE, limit=20),
                models.Prefetch(query=SPARSE, using="words", filter=MINE, limit=20),
            ],
            query=models.FusionQuery(fusion=models.Fusion.RRF),
        ),
    )
    each("filter-batch-query", lambda: client.query_batch_points("docs", [models.QueryRequest(query=VECTOR, filter=MINE)] * 2))
    each("filter-scroll", lambda: client.scroll("docs", scroll_filter=MINE))
    each("filter-count", lambda: client.count("docs", count_filter=MINE))
    each("filter-facet", lambda: client.facet("docs", "page", facet_filter=MINE))
    each("filter-upsert", lambda: client.upsert("docs", POINTS, update_filter=MINE))
    each("filter-set-payload", lambda: client.set_payload("docs", {"page": 2}, points=MINE))
    each("filter-delete", lambda: client.delete("docs", models.FilterSelector(filter=MINE)))
    each("delete-collection", lambda: client.delete_collection("docs"))


url = f"http://127.0.0.1:{recorder.server_port}"
step("start", lambda: (QdrantClient(url=url, api_key="the-database-s-own-key"), time.sleep(1)))
record(QdrantClient(url=url, api_key="the-database-s-own-key", check_compatibility=False), "")
record(QdrantClient(url=url, grpc_port=grpc_port, prefer_grpc=True, https=False, check_compatibility=False), "grpc-")
server.stop(None)
