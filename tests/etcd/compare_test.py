#!/usr/bin/python3
"""The comparison itself: every field of every answer counts."""

import os
import random
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import servers  # noqa: E402
import tap      # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


class Nothing:
    plain = None

    def ensure(self):
        pass

    def arguments(self):
        return ()

    def unhang(self):
        pass

    def after(self):
        return ""

    def close(self):
        pass


def filled(kind, depth=0):
    """A message with every field set."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        repeated = field.label == field.LABEL_REPEATED
        if field.type == field.TYPE_MESSAGE:
            if depth > 3:
                continue
            import schema
            inner = filled(schema.CLASSES[field.message_type.full_name], depth + 1)
            if repeated:
                getattr(message, field.name).append(inner)
            else:
                getattr(message, field.name).CopyFrom(inner)
            continue
        value = {field.TYPE_BYTES: b"b", field.TYPE_STRING: "s", field.TYPE_BOOL: True}.get(field.type, 1)
        if repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


def places(message):
    """(message, field) of everything that is set, below too."""
    for field, content in message.ListFields():
        yield message, field
        if field.type == field.TYPE_MESSAGE:
            for item in content if field.label == field.LABEL_REPEATED else [content]:
                yield from places(item)


# Danger: a field that is compared nowhere may be wrong for ever.
@tap.test()
def every_field_of_every_answer_is_compared():
    import compare
    import schema
    import world
    answers = sorted({response for _, _, response in schema.CALLS.values()})
    seen = 0
    for name in answers:
        whole = filled(schema.CLASSES[name])
        for number in range(len(list(places(whole)))):
            other = schema.CLASSES[name]()
            other.CopyFrom(whole)
            owner, field = list(places(other))[number]
            owner.ClearField(field.name)
            judge = compare.Judge(world.World(random.Random(1)))
            judge.compare("test", None, whole, other)
            tap.expect(judge.mismatches, "%s without %s is taken for equal" % (name, field.full_name))
            seen += 1
    tap.expect(seen > 300, "only %d places" % seen)


# Danger: a difference without a reason, or a reason without a difference.
@tap.test()
def the_written_differences_are_those_of_the_code():
    with open(os.path.join(HERE, "differences.md")) as f:
        written = re.findall(r"^\| (D\d+) ", f.read(), re.M)
    tap.expect_equal(len(written), len(set(written)), "numbers in differences.md")
    named = set()
    for name in sorted(os.listdir(HERE)):
        if name.endswith(".py"):
            with open(os.path.join(HERE, name)) as f:
                named |= set(re.findall(r"\bD\d+\b", f.read()))
    tap.expect_equal(sorted(named), sorted(written), "the differences that the code knows")


def rig_of(_):
    servers.need_modules()
    return Nothing()


if __name__ == "__main__":
    tap.main(__doc__, rig_of)
