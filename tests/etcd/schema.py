"""schema.txt as protobuf classes, made at run time: nothing is generated."""

import os
import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

KINDS = {"bytes": 12, "string": 9, "int64": 3, "uint64": 4, "uint32": 13, "int32": 5, "bool": 8}
ENUM, MESSAGE = 14, 11
OPTIONAL, REPEATED = 1, 3


def _lines():
    """The file's entries, continued lines joined."""
    entries = []
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema.txt")) as f:
        for line in f.read().splitlines():
            if line.startswith("    "):
                entries[-1] += " " + line.strip()
            elif line and not line.startswith("#"):
                entries.append(line)
    return entries


class _Package:
    def __init__(self, name):
        self.file = descriptor_pb2.FileDescriptorProto(name=name + ".proto", package=name, syntax="proto3")
        self.messages = {}
        self.enums = {}  # full name without the package -> number by name
        self.rows = []


def _read():
    packages, calls = {}, {}
    package = service = None
    for line in _lines():
        word, rest = line.split(" ", 1) if " " in line else (line, "")
        if word == "package":
            package = packages.setdefault(rest, _Package(rest))
        elif word == "service":
            service = rest
        elif word == "rpc":
            name, kind, request, response = rest.split()
            of = service.rsplit(".", 1)[0]
            calls["%s/%s" % (service, name)] = (kind, "%s.%s" % (of, request), "%s.%s" % (of, response))
        elif word == "enum":
            name, body = re.match(r"([\w.]+): (.*)", rest).groups()
            package.enums[name] = [(n, int(v)) for n, v in (e.split("=") for e in body.split(", "))]
        else:
            name, body = re.match(r"(\w+):\s*(.*)", line).groups()
            package.messages[name] = package.file.message_type.add(name=name)
            package.rows.append((name, body))
    return packages, calls


def _add_enums(package):
    for name, values in package.enums.items():
        owner, _, short = name.rpartition(".")
        enum = (package.messages[owner].enum_type if owner else package.file.enum_type).add(name=short)
        for value, number in values:
            enum.value.add(name=value, number=number)


def _add_field(package, message, text):
    number, left = text.split(" ", 1)
    name, kind = left.split(":", 1)
    oneof, _, name = name.rpartition("/")
    repeated = kind.startswith("repeated ")
    kind = kind[len("repeated "):] if repeated else kind
    field = message.field.add(name=name, number=int(number), label=REPEATED if repeated else OPTIONAL)
    if kind in KINDS:
        field.type = KINDS[kind]
    elif "%s.%s" % (message.name, kind) in package.enums:
        field.type, field.type_name = ENUM, ".%s.%s.%s" % (package.file.package, message.name, kind)
    elif kind in package.enums:
        field.type, field.type_name = ENUM, ".%s.%s" % (package.file.package, kind)
    else:
        whole = kind if "." in kind else "%s.%s" % (package.file.package, kind)
        field.type, field.type_name = MESSAGE, "." + whole
        if "." in kind:
            needed = kind.rsplit(".", 1)[0] + ".proto"
            if needed not in package.file.dependency:
                package.file.dependency.append(needed)
    if oneof:
        names = [o.name for o in message.oneof_decl]
        if oneof not in names:
            message.oneof_decl.add(name=oneof)
            names.append(oneof)
        field.oneof_index = names.index(oneof)


def _build():
    packages, calls = _read()
    pool = descriptor_pool.DescriptorPool()
    for package in packages.values():
        _add_enums(package)
        for name, body in package.rows:
            for text in filter(None, body.split(", ")):
                _add_field(package, package.messages[name], text)
        pool.Add(package.file)
    factory = message_factory.MessageFactory(pool)
    classes = {}
    for package in packages.values():
        for name in package.messages:
            whole = "%s.%s" % (package.file.package, name)
            classes[whole] = factory.GetPrototype(pool.FindMessageTypeByName(whole))
    return classes, calls


CLASSES, CALLS = _build()


class _Names:
    """pb.RangeRequest and the like: the classes of all packages by short name."""

    def __init__(self):
        for whole, kind in CLASSES.items():
            setattr(self, whole.rsplit(".", 1)[1], kind)


pb = _Names()
