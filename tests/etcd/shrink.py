"""A smaller transaction that the two still answer differently.

Both stores may have gone different ways by then; what is looked for is the same
pair of status codes, which is most often a matter of the request alone."""

import rpc
from schema import pb


def verdict(run, request):
    answers = [client.call("etcdserverpb.KV/Txn", request) for client in run.clients]
    return tuple((a.code, a.text) if isinstance(a, rpc.Error) else "OK" for a in answers)


def smaller(request):
    """Transactions with one thing less."""
    for name in ("compare", "success", "failure"):
        items = getattr(request, name)
        for number in range(len(items)):
            less = pb.TxnRequest()
            less.CopyFrom(request)
            del getattr(less, name)[number]
            yield less
        if name == "compare":
            continue
        for number, op in enumerate(items):
            if not op.HasField("request_txn"):
                continue
            for inner in smaller(op.request_txn):
                less = pb.TxnRequest()
                less.CopyFrom(request)
                getattr(less, name)[number].request_txn.CopyFrom(inner)
                yield less
    for name in ("success", "failure"):
        for op in getattr(request, name):
            if op.HasField("request_txn"):
                yield op.request_txn


def shrink(run, request, most=400):
    """Gives back the smallest found; sends at most `most` pairs."""
    wanted = verdict(run, request)
    if wanted[0] == wanted[1]:
        return None
    again = True
    while again and most > 0:
        again = False
        for less in smaller(request):
            most -= 1
            if most <= 0:
                break
            if verdict(run, less) == wanted:
                request, again = less, True
                break
    return request
