"""Records what the official Python client sends, beside what record-chroma.ts records of the JavaScript one.

    chroma run --path DIR --host 127.0.0.1 --port 8000
    python test/databases/recorded/record_chroma.py 8000
"""
import http.client
import json
import pathlib
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import chromadb
from chromadb.execution.expression import GroupBy, MinK

UPSTREAM = int(sys.argv[1])
FOLDER = pathlib.Path(__file__).parent / "chroma-python" / chromadb.__version__
heard = []


class Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        heard.append({"method": self.command, "target": self.path, "headers": headers, "body": body.decode() or None})
        forward = http.client.HTTPConnection("127.0.0.1", UPSTREAM)
        forward.request(self.command, self.path, body or None, {"content-type": headers.get("content-type", "application/json")})
        got = forward.getresponse()
        data = got.read()
        self.send_response(got.status)
        self.send_header("content-type", got.getheader("content-type") or "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, *_):
        pass


def step(name, act):
    heard.clear()
    try:
        result = act()
    except Exception as cause:
        print(f"{name}: {cause}")
        result = None
    for index, request in enumerate(heard):
        file = f"{name}.json" if len(heard) == 1 else f"{name}-{index + 1}.json"
        (FOLDER / file).write_text(json.dumps({"request": request, "want": None}, indent=2, ensure_ascii=False) + "\n")
    return result


recorder = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=recorder.serve_forever, daemon=True).start()
FOLDER.mkdir(parents=True, exist_ok=True)
settings = chromadb.Settings(chroma_api_impl="chromadb.api.fastapi.FastAPI", chroma_server_host="127.0.0.1", chroma_server_http_port=recorder.server_port, anonymized_telemetry=False)
tenant = f"globex-{int(time.time())}"
admin = chromadb.AdminClient(settings)
admin.create_tenant(tenant)
admin.create_database("rag", tenant)
client = step("client", lambda: chromadb.HttpClient("127.0.0.1", recorder.server_port, tenant=tenant, database="rag", settings=chromadb.Settings(anonymized_telemetry=False)))
books = step("get-or-create-collection", lambda: client.get_or_create_collection("handbook", embedding_function=None))
step("get-collection", lambda: client.get_collection("handbook", embedding_function=None))
step("list-collections", lambda: client.list_collections(limit=5))
step("count-collections", client.count_collections)
step("add", lambda: books.add(ids=["a", "b"], embeddings=[[0.1, 0.2, 0.3], [1, 0, 0]], documents=["one", "two"], metadatas=[{"page": 1}, {"tags": ["x"]}]))
step("upsert", lambda: books.upsert(ids=["a"], embeddings=[[0.5, 0.25, 0.125]], uris=["file:///a"]))
step("update", lambda: books.update(ids=["a"], metadatas=[{"page": 2}]))
step("count", books.count)
step("peek", lambda: books.peek(3))
step("get", lambda: books.get(ids=["a"], include=["embeddings"]))
step("get-where", lambda: books.get(where={"page": {"$gt": 1}}, where_document={"$contains": "one"}, limit=4, offset=1))
step("query", lambda: books.query(query_embeddings=[[0.1, 0.2, 0.3]], n_results=2))
step("query-where", lambda: books.query(query_embeddings=[[0.1, 0.2, 0.3]], where={"$or": [{"page": 1}, {"page": {"$ne": 7}}]}))
step("search", lambda: books.search(chromadb.Search().rank(chromadb.Knn(query=[0.1, 0.2, 0.3], limit=20)).limit(2).select(chromadb.K.DOCUMENT)))
step("search-group", lambda: books.search(chromadb.Search().rank(chromadb.Knn(query=[0.1, 0.2, 0.3])).group_by(GroupBy(keys=chromadb.K("page"), aggregate=MinK(keys=chromadb.K.SCORE, k=2)))))
step("modify", lambda: books.modify(name="handbook-2", metadata={"owner": "team"}))
step("delete", lambda: books.delete(ids=["a"]))
step("delete-where", lambda: books.delete(where={"page": {"$gte": 0}}))
step("delete-collection", lambda: client.delete_collection("handbook-2"))
recorder.shutdown()
