"""Every branch of every pairwise rule (spec/merge.md §5), with either side as major: the results mirror each other."""

from __future__ import annotations

import pytest
from tests.merge.notation import contents, expected, side

from syncline.changesets.instructions import ArrayErase, ArrayInsert, SetErase, SetInsert, Update
from syncline.errors import BadChangesetError, TransformError
from syncline.merge import transform
from syncline.values import Decimal128, Link, Timestamp, kinds

# Earlier and later of two times; A is from file 2, B from file 3.
_A_EARLIER = ("@10 ", "@20 ")
_A_LATER = ("@20 ", "@10 ")

#: Name → A, B, A′, B′. "…" in a result: as it was. Cases where A is earlier, then where A is later.
_EARLIER: dict[str, tuple[str, str, str, str]] = {
    # 5.2 nested
    "an update inside an object value stays": ("Set 1.e=Object", "Set 1.e.v=1", "…", "…"),
    "an update inside a scalar goes": ("Set 1.m=5", "Set 1.m[0].v=1", "…", "∅"),
    "an update inside a default goes": ("Set 1.m=5 (default)", "Set 1.m.a=1", "…", "∅"),
    "an update beside it stays": ("Set 1.d.a=5", "Set 1.d.b.x=1", "…", "…"),
    "an index under a list stays": ("Set 1.m=List", "Ins 1.m[0]=1 ⟨0⟩", "…", "…"),
    "a name under a list goes": ("Set 1.m=List", "Set 1.m.a=1", "…", "∅"),
    "a name under a dictionary stays": ("Set 1.m=Dict", "Set 1.m.a=1", "…", "…"),
    "an index under a dictionary goes": ("Set 1.m=Dict", "Ins 1.m[0]=1 ⟨0⟩", "…", "∅"),
    "a name deep under a list goes": ("Set 1.m[0]=List ⟨1⟩", "Set 1.m[0].a.b=1", "…", "∅"),
    "an index deep under a list stays": ("Set 1.m[0]=List ⟨1⟩", "Ins 1.m[0][0][0]=1 ⟨0⟩", "…", "…"),
    "another element under a list stays": ("Set 1.m[1]=List ⟨2⟩", "Set 1.m[0].a=1", "…", "…"),
    "another container stays": ("Set 1.m.a[0]=5 ⟨1⟩", "Set 1.m.b[0].c=1", "…", "…"),
    "an increment drops what is below": ("Add 1.m+1", "Ins 1.m[0]=1 ⟨0⟩", "…", "∅"),
    "an increment leaves what is beside": ("Add 1.e.v+1", "Set 1.e.w.x=1", "…", "…"),
    "a clear drops what is below": ("Clr 1.l (List)", "Ins 1.l[0]=1 ⟨0⟩", "…", "∅"),
    "a clear of another element leaves it": ("Clr 1.m[0] (List)", "Ins 1.m[1][0]=1 ⟨0⟩", "…", "…"),
    "an index meets a name below": ("Set 1.m[0]=5 ⟨1⟩", "Set 1.m.a.b=1", "…", "…"),
    "a name meets an index below": ("Set 1.m.a=5", "Set 1.m[0].b=1", "…", "…"),
    "an insert before shifts the inner": ("Ins 1.ee[0]=Object ⟨2⟩", "Set 1.ee[0].v=1", "…", "Set 1.ee[1].v=1"),
    "an insert behind does not": ("Ins 1.ee[1]=Object ⟨2⟩", "Set 1.ee[0].v=1", "…", "…"),
    "an insert in another list does not": ("Ins 1.m.a[0]=1 ⟨2⟩", "Set 1.m.b[0].v=1", "…", "…"),
    "an insert shifts in the middle of a path": (
        "Ins 1.ee[0].em[0]=1 ⟨2⟩",
        "Set 1.ee[0].em[1].x=1",
        "…",
        "Set 1.ee[0].em[2].x=1",
    ),
    "an erase before shifts the inner": ("Del 1.ee[0] ⟨2⟩", "Set 1.ee[1].v=1", "…", "Set 1.ee[0].v=1"),
    "an erase behind does not": ("Del 1.ee[1] ⟨2⟩", "Set 1.ee[0].v=1", "…", "…"),
    "an erase drops the inner": ("Del 1.ee[1] ⟨2⟩", "Set 1.ee[1].v=1", "…", "∅"),
    "a move carries the inner along": ("Mov 1.ee[0]⇒2 ⟨3⟩", "Set 1.ee[0].v=1", "…", "Set 1.ee[2].v=1"),
    "a move shifts the inner": ("Mov 1.ee[0]⇒2 ⟨3⟩", "Set 1.ee[1].v=1", "…", "Set 1.ee[0].v=1"),
    "a move leaves the inner beyond it": ("Mov 1.ee[0]⇒1 ⟨3⟩", "Set 1.ee[2].v=1", "…", "…"),
    "a move in another list": ("Mov 1.m.a[0]⇒1 ⟨3⟩", "Set 1.m.b[0].v=1", "…", "…"),
    # 5.3, 5.4 schema
    "two classes": ("AddTable T pk _id int", "AddTable U pk _id int", "…", "…"),
    "two embedded classes": ("AddTable T embedded", "AddTable T embedded", "∅", "∅"),
    "two asymmetric classes": ("AddTable T asymmetric pk _id int", "AddTable T asymmetric pk _id int", "∅", "∅"),
    "no primary key on either side": ("AddTable T", "AddTable T", "∅", "∅"),
    "erased class against added class": ("EraseTable T", "AddTable T pk _id int", "…", "∅"),
    "erased class against another": ("EraseTable T", "AddTable U pk _id int; EraseTable V; Create U/1", "…", "…"),
    "both erase the class": ("EraseTable T", "EraseTable T", "∅", "∅"),
    "erased class against its property": ("EraseTable T", "AddColumn T.t link→T; EraseColumn T.i; Erase 1", "…", "∅"),
    "erased class against a link elsewhere": ("EraseTable T", "AddColumn U.u link→V; AddColumn U.v int", "…", "…"),
    "link to an erased class, property erased too": (
        "EraseTable U",
        "AddColumn T.u link→U; EraseColumn T.u",
        "EraseTable U",
        "∅",
    ),
    "two links to an erased class": (
        "EraseTable U",
        "AddColumn T.u link→U; AddColumn V.u link→U",
        "EraseColumn T.u; EraseColumn V.u; EraseTable U",
        "∅",
    ),
    "link to an erased class, class erased too": (
        "EraseTable U",
        "AddColumn T.u link→U; EraseTable T",
        "EraseTable U",
        "EraseTable T",
    ),
    "a link to a class that both erase": (
        "EraseTable U",
        "AddColumn T.u link→U; EraseTable U",
        "EraseColumn T.u",
        "∅",
    ),
    "values that link to an erased class": (
        "EraseTable U",
        "Set 1.m=→U/1; Ins 1.lm[0]=→U/1 ⟨0⟩; S+ 1.s →U/1; S− 1.s →U/2; Set 1.k=→V/1; Set 1.i=1; S+ 1.s 1",
        "…",
        "Set 1.m=null; Ins 1.lm[0]=null ⟨0⟩; Set 1.k=→V/1; Set 1.i=1; S+ 1.s 1",
    ),
    "two properties": ("AddColumn T.i int", "AddColumn T.j int; AddColumn U.i int", "…", "…"),
    "one list property": ("AddColumn T.l int list", "AddColumn T.l int list", "∅", "∅"),
    "one link property": ("AddColumn T.u link→U nullable", "AddColumn T.u link→U nullable", "∅", "∅"),
    "erased property against another": ("EraseColumn T.i", "AddColumn T.j int; EraseColumn U.i; Set 1.j=1", "…", "…"),
    "both erase the property": ("EraseColumn T.i", "EraseColumn T.i", "∅", "∅"),
    "erased property against every change": (
        "EraseColumn T.x",
        "Set 1.x=1; Add 2.x+1; Ins 1.x[0]=1 ⟨0⟩; Mov 1.x[0]⇒1 ⟨2⟩; Del 1.x[0] ⟨1⟩; Clr 1.x (Set); S+ 1.x 1; S− 1.x 1",
        "…",
        "∅",
    ),
    "erased property against changes of another": ("EraseColumn T.x", "S+ 1.s 1; Set U/1.x=1; Create 1", "…", "…"),
    # 5.5 objects
    "two created objects": ("Create 1", "Create 1", "…", "…"),
    "erased against created": ("Erase 1", "Create 1", "…", "∅"),
    "erased against another object": ("Erase 1", "Create 2; Set 2.i=1; Erase U/1", "…", "…"),
    "both erased, the later stays": ("Erase 1", "Erase 1", "∅", "…"),
    "erased against every change": (
        "Erase 1",
        "Set 1.x=1; Add 1.x+1; Ins 1.x[0]=1 ⟨0⟩; Mov 1.x[0]⇒1 ⟨2⟩; Del 1.x[0] ⟨1⟩; Clr 1.x (Set); S+ 1.x 1; S− 1.x 1",
        "…",
        "∅",
    ),
    "erased and made again": ("Set 1.i=1", "Erase 1; Create 1; Set 1.i=2", "∅", "…"),
    # 5.6 values
    "the later value wins": ("Set 1.i=1", "Set 1.i=2", "∅", "…"),
    "even if they are equal": ("Set 1.i=1", "Set 1.i=1", "∅", "…"),
    "two fields": ("Set 1.i=1", "Set 1.j=2", "…", "…"),
    "two places": ("Set 1.d.a=1", "Set 1.d.b=2; Set 1.e.a=1", "…", "…"),
    "an object value yields, A": ("Set 1.e=Object", "Set 1.e=null", "∅", "…"),
    "an object value yields, B": ("Set 1.e=null", "Set 1.e=Object", "…", "∅"),
    "two object values": ("Set 1.e=Object", "Set 1.e=Object", "∅", "…"),
    "both a list": ("Set 1.m=List", "Set 1.m=List", "…", "…"),
    "both a dictionary": ("Set 1.m=Dict", "Set 1.m=Dict", "…", "…"),
    "list against dictionary": ("Set 1.m=List", "Set 1.m=Dict", "∅", "…"),
    "a default loses, A": ("Set 1.i=1 (default)", "Set 1.i=2", "∅", "…"),
    "a default loses, B": ("Set 1.i=1", "Set 1.i=2 (default)", "…", "∅"),
    "two defaults": ("Set 1.i=1 (default)", "Set 1.i=2 (default)", "∅", "…"),
    "two updates of an element": ("Set 1.l[0]=1 ⟨1⟩", "Set 1.l[0]=2 ⟨1⟩", "∅", "…"),
    "two elements": ("Set 1.l[0]=1 ⟨2⟩", "Set 1.l[1]=2 ⟨2⟩", "…", "…"),
    "increment, then set": ("Add 1.i+2", "Set 1.i=5", "∅", "…"),
    "set, then increment": ("Set 1.i=5", "Add 1.i+2", "Set 1.i=7", "…"),
    "the sum wraps": (
        "Set 1.i=9223372036854775807",
        "Add 1.i+2",
        "Set 1.i=-9223372036854775807",
        "…",
    ),
    "the sum wraps below": ("Set 1.i=-9223372036854775808", "Add 1.i-1", "Set 1.i=9223372036854775807", "…"),
    "null, then increment": ("Set 1.i=null", "Add 1.i+2", "…", "…"),
    "text, then increment": ('Set 1.m="x"', "Add 1.m+2", "…", "∅"),
    "increment, then default": ("Add 1.i+2", "Set 1.i=5 (default)", "…", "Set 1.i=7 (default)"),
    "increment, then default null": ("Add 1.i+2", "Set 1.i=null (default)", "…", "…"),
    "increment, then default text": ("Add 1.m+2", 'Set 1.m="x" (default)', "∅", "…"),
    "increment of an element, then its update": ("Add 1.m[0]+2", "Set 1.m[0]=1 ⟨1⟩", "∅", "…"),
    "increments add up": ("Add 1.i+2", "Add 1.i+3", "…", "…"),
    "increment of another place": ("Add 1.e.v+2", "Set 1.e.w=3", "…", "…"),
    "clear against increment": ("Clr 1.m (List)", "Add 1.m+1", "…", "∅"),
    "clear against increment elsewhere": ("Clr 1.d.a (List)", "Add 1.d.b+1", "…", "…"),
    "clear and set of the same kind": ("Clr 1.m (List)", "Set 1.m=List", "…", "…"),
    "clear and set of the same other kind": ("Clr 1.m (Dict)", "Set 1.m=Dict", "…", "…"),
    "clear, then set of another kind": ("Clr 1.m (List)", "Set 1.m=Dict", "∅", "…"),
    "set, then clear of another kind": ("Set 1.m=List", "Clr 1.m (Dict)", "∅", "…"),
    "clear and default": ("Clr 1.m (List)", "Set 1.m=5 (default)", "∅", "…"),
    "clear and set elsewhere": ("Clr 1.d.a (List)", "Set 1.d.b=5", "…", "…"),
    # 5.7 lists
    "insert before an updated element": ("Ins 1.l[1]=9 ⟨2⟩", "Set 1.l[1]=5 ⟨2⟩", "…", "Set 1.l[2]=5 ⟨3⟩"),
    "insert behind an updated element": ("Ins 1.l[2]=9 ⟨2⟩", "Set 1.l[1]=5 ⟨2⟩", "…", "Set 1.l[1]=5 ⟨3⟩"),
    "insert and update in two lists": ("Ins 1.m[0][0]=9 ⟨1⟩", "Set 1.m[1][0]=5 ⟨1⟩", "…", "…"),
    "move of an updated element": ("Mov 1.l[0]⇒1 ⟨3⟩", "Set 1.l[0]=5 ⟨3⟩", "…", "Set 1.l[1]=5 ⟨3⟩"),
    "move beside an updated element": ("Mov 1.l[0]⇒1 ⟨3⟩", "Set 1.l[2]=5 ⟨3⟩", "…", "…"),
    "move and update in two lists": ("Mov 1.m[0][0]⇒1 ⟨2⟩", "Set 1.m[1][0]=5 ⟨2⟩", "…", "…"),
    "move and update with two sizes": ("Mov 1.l[0]⇒1 ⟨3⟩", "Set 1.l[1]=5 ⟨2⟩", "…", "Set 1.l[0]=5 ⟨2⟩"),
    "erase of an updated element": ("Del 1.l[1] ⟨3⟩", "Set 1.l[1]=5 ⟨3⟩", "…", "∅"),
    "erase before an updated element": ("Del 1.l[0] ⟨3⟩", "Set 1.l[1]=5 ⟨3⟩", "…", "Set 1.l[0]=5 ⟨2⟩"),
    "erase behind an updated element": ("Del 1.l[2] ⟨3⟩", "Set 1.l[1]=5 ⟨3⟩", "…", "Set 1.l[1]=5 ⟨2⟩"),
    "erase and update in two lists": ("Del 1.m[0][0] ⟨2⟩", "Set 1.m[1][0]=5 ⟨2⟩", "…", "…"),
    "insert before an insert": ("Ins 1.l[0]=1 ⟨2⟩", "Ins 1.l[1]=2 ⟨2⟩", "Ins 1.l[0]=1 ⟨3⟩", "Ins 1.l[2]=2 ⟨3⟩"),
    "inserts at one place": ("Ins 1.l[1]=1 ⟨2⟩", "Ins 1.l[1]=2 ⟨2⟩", "Ins 1.l[1]=1 ⟨3⟩", "Ins 1.l[2]=2 ⟨3⟩"),
    "inserts in two lists": ("Ins 1.m[0][0]=1 ⟨2⟩", "Ins 1.m[1][0]=2 ⟨2⟩", "…", "…"),
    "move past an insert": ("Mov 1.l[0]⇒2 ⟨3⟩", "Ins 1.l[1]=9 ⟨3⟩", "Mov 1.l[0]⇒3 ⟨4⟩", "Ins 1.l[0]=9 ⟨3⟩"),
    "move before an insert": ("Mov 1.l[0]⇒1 ⟨3⟩", "Ins 1.l[3]=9 ⟨3⟩", "Mov 1.l[0]⇒1 ⟨4⟩", "Ins 1.l[3]=9 ⟨3⟩"),
    "move from behind an insert": ("Mov 1.l[2]⇒0 ⟨3⟩", "Ins 1.l[1]=9 ⟨3⟩", "Mov 1.l[3]⇒0 ⟨4⟩", "Ins 1.l[2]=9 ⟨3⟩"),
    "move to an insert's place": ("Mov 1.l[2]⇒1 ⟨3⟩", "Ins 1.l[1]=9 ⟨3⟩", "Mov 1.l[3]⇒2 ⟨4⟩", "Ins 1.l[1]=9 ⟨3⟩"),
    "move and insert in two lists": ("Mov 1.m[0][0]⇒1 ⟨2⟩", "Ins 1.m[1][0]=5 ⟨2⟩", "…", "…"),
    "erase before an insert": ("Del 1.l[0] ⟨3⟩", "Ins 1.l[1]=9 ⟨3⟩", "Del 1.l[0] ⟨4⟩", "Ins 1.l[0]=9 ⟨2⟩"),
    "erase at an insert": ("Del 1.l[1] ⟨3⟩", "Ins 1.l[1]=9 ⟨3⟩", "Del 1.l[2] ⟨4⟩", "Ins 1.l[1]=9 ⟨2⟩"),
    "erase and insert in two lists": ("Del 1.m[0][0] ⟨2⟩", "Ins 1.m[1][0]=5 ⟨2⟩", "…", "…"),
    "moves of one element": ("Mov 1.l[0]⇒2 ⟨3⟩", "Mov 1.l[0]⇒1 ⟨3⟩", "∅", "Mov 1.l[2]⇒1 ⟨3⟩"),
    "moves of one element to one place": ("Mov 1.l[0]⇒2 ⟨3⟩", "Mov 1.l[0]⇒2 ⟨3⟩", "∅", "∅"),
    "moves of two elements": ("Mov 1.l[0]⇒3 ⟨4⟩", "Mov 1.l[1]⇒2 ⟨4⟩", "Mov 1.l[0]⇒3 ⟨4⟩", "Mov 1.l[0]⇒1 ⟨4⟩"),
    "moves to one place": ("Mov 1.l[0]⇒1 ⟨3⟩", "Mov 1.l[2]⇒1 ⟨3⟩", "Mov 1.l[0]⇒2 ⟨3⟩", "Mov 1.l[2]⇒0 ⟨3⟩"),
    "swaps of neighbours": ("Mov 1.l[0]⇒1 ⟨2⟩", "Mov 1.l[1]⇒0 ⟨2⟩", "Mov 1.l[1]⇒0 ⟨2⟩", "Mov 1.l[0]⇒1 ⟨2⟩"),
    "moves that do not touch": ("Mov 1.l[0]⇒1 ⟨4⟩", "Mov 1.l[2]⇒3 ⟨4⟩", "…", "…"),
    "moves in two lists": ("Mov 1.m[0][0]⇒1 ⟨2⟩", "Mov 1.m[1][0]⇒1 ⟨2⟩", "…", "…"),
    "erase of a moved element": ("Del 1.l[0] ⟨3⟩", "Mov 1.l[0]⇒2 ⟨3⟩", "Del 1.l[2] ⟨3⟩", "∅"),
    "erase of an element moved to its place": ("Del 1.l[0] ⟨3⟩", "Mov 1.l[0]⇒0 ⟨3⟩", "…", "∅"),
    "erase beside a move": ("Del 1.l[0] ⟨4⟩", "Mov 1.l[1]⇒3 ⟨4⟩", "Del 1.l[0] ⟨4⟩", "Mov 1.l[0]⇒2 ⟨3⟩"),
    "erase between a move's places": ("Del 1.l[1] ⟨3⟩", "Mov 1.l[0]⇒2 ⟨3⟩", "Del 1.l[0] ⟨3⟩", "Mov 1.l[0]⇒1 ⟨2⟩"),
    "erase behind a move": ("Del 1.l[3] ⟨4⟩", "Mov 1.l[0]⇒1 ⟨4⟩", "Del 1.l[3] ⟨4⟩", "Mov 1.l[0]⇒1 ⟨3⟩"),
    "erase leaves a move nowhere to go": ("Del 1.l[1] ⟨2⟩", "Mov 1.l[0]⇒1 ⟨2⟩", "Del 1.l[0] ⟨2⟩", "∅"),
    "erase and move in two lists": ("Del 1.m[0][0] ⟨2⟩", "Mov 1.m[1][0]⇒1 ⟨2⟩", "…", "…"),
    "erases of one element": ("Del 1.l[1] ⟨2⟩", "Del 1.l[1] ⟨2⟩", "∅", "∅"),
    "erases of two elements": ("Del 1.l[0] ⟨2⟩", "Del 1.l[1] ⟨2⟩", "Del 1.l[0] ⟨1⟩", "Del 1.l[0] ⟨1⟩"),
    "erases in two lists": ("Del 1.m[0][0] ⟨2⟩", "Del 1.m[1][0] ⟨2⟩", "…", "…"),
    # 5.7 Clear of a collection that is an element of a list (ours)
    "clear of an element behind an insert": ("Clr 1.m[1] (List)", "Ins 1.m[1]=5 ⟨2⟩", "Clr 1.m[2] (List)", "…"),
    "clear of an element before an insert": ("Clr 1.m[0] (List)", "Ins 1.m[1]=5 ⟨2⟩", "…", "…"),
    "clear and insert in two lists": ("Clr 1.m.a[1] (List)", "Ins 1.m.b[0]=5 ⟨2⟩", "…", "…"),
    "clear of a moved element": ("Clr 1.m[0] (List)", "Mov 1.m[0]⇒1 ⟨2⟩", "Clr 1.m[1] (List)", "…"),
    "clear of an element beside a move": ("Clr 1.m[0] (List)", "Mov 1.m[1]⇒2 ⟨3⟩", "…", "…"),
    "clear and move in two lists": ("Clr 1.m.a[0] (List)", "Mov 1.m.b[0]⇒1 ⟨2⟩", "…", "…"),
    "clear of an erased element": ("Clr 1.m[1] (List)", "Del 1.m[1] ⟨2⟩", "∅", "…"),
    "clear of an element behind an erased one": ("Clr 1.m[1] (List)", "Del 1.m[0] ⟨2⟩", "Clr 1.m[0] (List)", "…"),
    "clear of an element before an erased one": ("Clr 1.m[0] (List)", "Del 1.m[1] ⟨2⟩", "…", "…"),
    "clear and erase in two lists": ("Clr 1.m.a[1] (List)", "Del 1.m.b[0] ⟨2⟩", "…", "…"),
    "clear of a name beside list changes": (
        "Clr 1.m.a (List)",
        "Ins 1.m[0]=5 ⟨2⟩; Mov 1.m[0]⇒1 ⟨3⟩; Del 1.m[0] ⟨3⟩",
        "…",
        "…",
    ),
    # 5.8 clear and sets
    "two clears": ("Clr 1.l (List)", "Clr 1.l (List)", "∅", "…"),
    "two clears of two kinds": ("Clr 1.m (Dict)", "Clr 1.m (List)", "∅", "…"),
    "two clears elsewhere": ("Clr 1.d.a (Dict)", "Clr 1.d.b (Dict)", "…", "…"),
    "member against clear": ("S+ 1.s 1", "Clr 1.s (Set)", "∅", "…"),
    "clear against member": ("Clr 1.s (Set)", "S− 1.s 1; S+ 1.s 2", "…", "∅"),
    "member against clear elsewhere": ("S+ 1.d.a 1", "Clr 1.d.b (Set)", "…", "…"),
    "members": ("S+ 1.s 1", "S+ 1.s 1", "∅", "…"),
    "member in, member out": ("S+ 1.s 1", "S− 1.s 1", "∅", "…"),
    "member out, member in": ("S− 1.s 1", "S+ 1.s 1", "∅", "…"),
    "members out": ("S− 1.s 1", "S− 1.s 1", "∅", "…"),
    "two members": ("S+ 1.s 1", "S+ 1.s 2; S− 1.s 3", "…", "…"),
    "members of two sets": ("S+ 1.d.a 1", "S+ 1.d.b 1", "…", "…"),
    "one member to a set, in two types (ours)": ("S+ 1.s 1", "S+ 1.s 1.0", "∅", "…"),
    "members of two types": ("S+ 1.s 1", 'S+ 1.s "1"', "…", "…"),
    "texts out by content": ('S− 1.s "foo"', 'S− 1.s "bar"; S− 1.s "foo"', "∅", "…"),
    "a set against an update of it": ("S+ 1.m 1", "Set 1.m=5", "…", "…"),
}
_LATER: dict[str, tuple[str, str, str, str]] = {
    "both erased, the later stays": ("Erase 1", "Erase 1", "…", "∅"),
    "erased and made again": ("Erase 1; Create 1; Set 1.i=2", "Erase 1", "…", "∅"),
    "the later value wins": ("Set 1.i=1", "Set 1.i=2", "…", "∅"),
    "a default loses though later": ("Set 1.i=1 (default)", "Set 1.i=2", "∅", "…"),
    "an object value yields though later": ("Set 1.e=Object", "Set 1.e=null", "∅", "…"),
    "two object values": ("Set 1.e=Object", "Set 1.e=Object", "…", "∅"),
    "inserts at one place": ("Ins 1.l[1]=1 ⟨2⟩", "Ins 1.l[1]=2 ⟨2⟩", "Ins 1.l[2]=1 ⟨3⟩", "Ins 1.l[1]=2 ⟨3⟩"),
    "move to an insert's place": ("Mov 1.l[2]⇒1 ⟨3⟩", "Ins 1.l[1]=9 ⟨3⟩", "Mov 1.l[3]⇒1 ⟨4⟩", "Ins 1.l[2]=9 ⟨3⟩"),
    "moves of one element": ("Mov 1.l[0]⇒2 ⟨3⟩", "Mov 1.l[0]⇒1 ⟨3⟩", "Mov 1.l[1]⇒2 ⟨3⟩", "∅"),
    "swaps of neighbours": ("Mov 1.l[0]⇒1 ⟨2⟩", "Mov 1.l[1]⇒0 ⟨2⟩", "∅", "∅"),
    "two clears": ("Clr 1.l (List)", "Clr 1.l (List)", "…", "∅"),
    "clear, then set of another kind": ("Clr 1.m (List)", "Set 1.m=Dict", "…", "∅"),
    "members": ("S+ 1.s 1", "S+ 1.s 1", "…", "∅"),
    "an erase before an update": ("Del 1.l[1] ⟨2⟩", "Set 1.l[1]=1 ⟨2⟩", "…", "∅"),
}


def _cases() -> list[tuple[str, tuple[str, str], tuple[str, str, str, str]]]:
    cases = [(f"{name}, A earlier", _A_EARLIER, case) for name, case in _EARLIER.items()]
    return cases + [(f"{name}, A later", _A_LATER, case) for name, case in _LATER.items()]


@pytest.mark.parametrize("a_is_major", [True, False], ids=["A major", "B major"])
@pytest.mark.parametrize(("times", "case"), [case[1:] for case in _cases()], ids=[case[0] for case in _cases()])
def test_rule(times: tuple[str, str], case: tuple[str, str, str, str], a_is_major: bool) -> None:
    a_text, b_text, a_result, b_result = case
    a, b = side(times[0] + a_text, 2), side(times[1] + b_text, 3)
    if a_is_major:
        transform(a, b)
    else:
        transform(b, a)
    assert contents(a) == expected(a_text if a_result == "…" else a_result)
    assert contents(b) == expected(b_text if b_result == "…" else b_result)
    assert a[0].dirty >= (contents(a) != expected(a_text))
    assert b[0].dirty >= (contents(b) != expected(b_text))
    if a_result == b_result == "…":
        assert [a[0].dirty, b[0].dirty] == [False, False]


# --- payloads of sets -------------------------------------------------------------------------------------------------

_NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "one", "other", "equal"),
    [
        (kinds.NULL, None, None, True),
        (kinds.BOOL, True, True, True),
        (kinds.STRING, "", "", True),
        (kinds.BINARY, b"a", b"b", False),
        (kinds.FLOAT, 0.0, -0.0, True),
        (kinds.DOUBLE, _NAN, _NAN, True),
        (kinds.DECIMAL, Decimal128(105, -1), Decimal128(1050, -2), True),
        (kinds.TIMESTAMP, Timestamp(1, 2), Timestamp(1, 2), True),
        (kinds.TIMESTAMP, Timestamp(1, 2), Timestamp(1, 3), False),
        (kinds.LINK, Link("T", "a"), Link("T", "a"), True),
        (kinds.LINK, Link("T", "a"), Link("U", "a"), False),
        (kinds.LINK, Link("T", 1), Link("T", None), False),
    ],
)
def test_members_compare_by_content(kind: int, one: object, other: object, equal: bool) -> None:
    for first, second in ((SetInsert, SetInsert), (SetInsert, SetErase), (SetErase, SetErase)):
        a, b = side("@1 Set 2.i=1", 2), side("@2 Set 3.i=1", 3)
        a[0].instructions = [first("T", 1, "s", (), kind, one)]
        b[0].instructions = [second("T", 1, "s", (), kind, other)]
        transform(a, b)
        assert len(a[0].instructions) == (0 if equal else 1)
        assert len(b[0].instructions) == 1


def test_empty_text_is_not_null() -> None:
    a, b = side('@1 S+ 1.s ""', 2), side("@2 S+ 1.s null", 3)
    transform(a, b)
    assert not a[0].dirty


# --- errors (spec/merge.md §6) ----------------------------------------------------------------------------------------

_ERRORS = {
    "other key": ("AddTable T pk _id int", "AddTable T pk id int", "'T' has different primary keys.*'_id'.*'id'"),
    "other type": ("AddTable T pk _id int", "AddTable T pk _id string", "different types.*int.*string"),
    "other nullability": ("AddTable T pk _id int", "AddTable T pk _id int nullable", "nullable on one side only"),
    "asymmetric": ("AddTable T pk _id int", "AddTable T asymmetric pk _id int", "asymmetric on one side only"),
    "embedded": (
        "AddTable T pk _id int",
        "AddTable T embedded",
        "embedded on one side only: primary key '_id'",
    ),
    "no key": ("AddTable T", "AddTable T pk _id int", "no primary key"),
    "property of other type": (
        "AddColumn T.i int",
        "AddColumn T.i string",
        "'T.i' has different types: single int .*",
    ),
    "property of any type": ("AddColumn T.i int", "AddColumn T.i mixed", "mixed"),
    "property nullable": ("AddColumn T.i int", "AddColumn T.i int nullable", "nullable on one side only"),
    "property a list": (
        "AddColumn T.i int list",
        "AddColumn T.i int set",
        "collection types: list int .* set int",
    ),
    "property of other target": ("AddColumn T.u link→U", "AddColumn T.u link→V", "different classes.*to 'U'.*to 'V'"),
    "sizes of updates": (
        "Set 1.l[0]=1 ⟨1⟩",
        "Set 1.l[0]=1 ⟨2⟩",
        r"T\[1\].l\[0\] \(list of 1\) .*list of 2",
    ),
    "sizes of insert and update": ("Ins 1.l[0]=1 ⟨1⟩", "Set 1.l[0]=1 ⟨2⟩", "different sizes"),
    "sizes of erase and update": ("Del 1.l[0] ⟨1⟩", "Set 1.l[0]=1 ⟨2⟩", "different sizes"),
    "sizes of inserts": ("Ins 1.l[0]=1 ⟨1⟩", "Ins 1.l[0]=1 ⟨2⟩", "different sizes"),
    "sizes of erase and insert": ("Del 1.l[0] ⟨1⟩", "Ins 1.l[0]=1 ⟨2⟩", "different sizes"),
    "sizes of moves": ("Mov 1.l[0]⇒1 ⟨2⟩", "Mov 1.l[0]⇒1 ⟨3⟩", "different sizes"),
    "sizes of erase and move": (
        "Del 1.l[0] ⟨2⟩",
        "Mov 1.l[0]⇒1 ⟨3⟩",
        r"ArrayMove of .* to \[1\] \(list of 3\)",
    ),
    "sizes of erases": ("Del 1.l[0] ⟨2⟩", "Del 1.l[0] ⟨3⟩", "different sizes"),
    "insert beyond the end, update": ("Ins 1.l[3]=1 ⟨2⟩", "Set 1.l[0]=1 ⟨2⟩", "beyond the end"),
    "insert, update beyond the end": ("Ins 1.l[0]=1 ⟨2⟩", "Set 1.l[2]=1 ⟨2⟩", "beyond the end"),
    "insert beyond the end, erase": ("Ins 1.l[3]=1 ⟨2⟩", "Del 1.l[0] ⟨2⟩", "beyond the end"),
    "erase beyond the end, insert": ("Del 1.l[2] ⟨2⟩", "Ins 1.l[0]=1 ⟨2⟩", "beyond the end"),
    "erase beyond the end, update": ("Del 1.l[2] ⟨2⟩", "Set 1.l[0]=1 ⟨2⟩", "beyond the end"),
    "erase, update beyond the end": ("Del 1.l[0] ⟨2⟩", "Set 1.l[2]=1 ⟨2⟩", "beyond the end"),
    "move beyond the end, update": ("Mov 1.l[2]⇒0 ⟨2⟩", "Set 1.l[0]=1 ⟨2⟩", "beyond the end"),
    "move, update beyond the end": ("Mov 1.l[1]⇒0 ⟨2⟩", "Set 1.l[2]=1 ⟨2⟩", "beyond the end"),
    "move from beyond the end": ("Mov 1.l[2]⇒0 ⟨2⟩", "Mov 1.l[0]⇒1 ⟨2⟩", "beyond the end"),
    "move to beyond the end": ("Mov 1.l[0]⇒2 ⟨2⟩", "Mov 1.l[0]⇒1 ⟨2⟩", "target is beyond the end"),
    "erase beyond the end, move": ("Del 1.l[2] ⟨2⟩", "Mov 1.l[0]⇒1 ⟨2⟩", "beyond the end"),
    "erase, move beyond the end": ("Del 1.l[0] ⟨2⟩", "Mov 1.l[2]⇒1 ⟨2⟩", "beyond the end"),
    "erase beyond the end, erase": ("Del 1.l[2] ⟨2⟩", "Del 1.l[0] ⟨2⟩", "beyond the end"),
    "a name among insertions": ("Ins 1.m[0]=1 ⟨1⟩", "Set 1.m.a=1", r"one side works on a list.*T\[1\].m\[…\]"),
    "a name among moves": ("Mov 1.m[0]⇒1 ⟨2⟩", "Set 1.m.a=1", "one side works on a list"),
    "a name among erasures": ("Del 1.m[0] ⟨2⟩", "Set 1.m.a=1", "one side works on a list"),
    "a name within an insertion": ("Ins 1.m[0]=1 ⟨1⟩", "Set 1.m.a.b=1", "Inconsistent paths"),
    "a name within a move": ("Mov 1.m[0]⇒1 ⟨2⟩", "Set 1.m.a.b=1", "Inconsistent paths"),
    "a name within an erasure": ("Del 1.m[0] ⟨2⟩", "Set 1.m.a.b=1", "Inconsistent paths"),
}


@pytest.mark.parametrize("a_is_major", [True, False], ids=["A major", "B major"])
@pytest.mark.parametrize("name", _ERRORS)
def test_error(name: str, a_is_major: bool) -> None:
    a_text, b_text, message = _ERRORS[name]
    a, b = side(f"@1 {a_text}", 2), side(f"@2 {b_text}", 3)
    with pytest.raises(TransformError, match=message if a_is_major else None) as caught:
        transform(*((a, b) if a_is_major else (b, a)))
    assert isinstance(caught.value, BadChangesetError)


def test_list_instructions_without_an_index_are_an_error() -> None:
    """The decoder lets none of these in; the merge does not rely on it."""
    a, b = side("@1 Set 1.i=1", 2), side("@2 Set 1.i=1", 3)
    a[0].instructions = [ArrayInsert("T", 1, "l", (), kinds.INT, 1, 0)]
    b[0].instructions = [ArrayErase("T", 1, "l", (), 0)]
    with pytest.raises(TransformError, match="one side works on a list"):
        transform(a, b)
    a[0].instructions = [ArrayInsert("T", 1, "l", (), kinds.INT, 1, 0)]
    b[0].instructions = [Update("T", 1, "l", ("a",), kinds.INT, 1)]
    transform(a, b)
    assert not b[0].dirty
