"""A namespace of many kinds, as cells of a notebook, and what is to be true of it, before it is saved and afterwards."""

from __future__ import annotations

CELLS = (
    """
import numpy as np, pandas as pd, json as js
import collections, dataclasses, datetime as dt, decimal, enum, functools, io, itertools, logging, pathlib, random, re
import sqlite3, threading, types, typing, uuid, weakref
import matplotlib; matplotlib.use('Agg'); import matplotlib.pyplot as plt
from collections import defaultdict, Counter
def digest(frame): return int(pd.util.hash_pandas_object(frame).astype('uint64').sum())
""",
    """
rng0 = np.random.default_rng(7)
df = pd.DataFrame({'x': rng0.normal(size=20_000), 'y': rng0.integers(0, 9, 20_000),
                   'cat': pd.Categorical(rng0.choice(list('abc'), 20_000)),
                   'when': pd.date_range('2024-01-01', periods=20_000, freq='min', tz='Europe/Paris'),
                   's': rng0.choice(['alpha', 'beta'], 20_000)})
small = df.head(50).copy(); col = df['x']; gb = small.groupby('cat', observed=True); frames = {'main': df, 'small': small}
multi = small.set_index(['cat', 'y']); idx = pd.Index(['a', 'b']); seen_df = digest(df); seen_small = digest(small)
""",
    """
arr = rng0.random(500_000); arr_view = arr[10:20]; arr_2d = arr.reshape(-1, 100); arr_t = arr_2d.T; arr_back = arr[::-1]
hidden = rng0.random(100_000); tiny_view = hidden[:5]; tiny_again = hidden[3:8]; del hidden
obj_arr = np.array([{'a': 1}, [1, 2], None], dtype=object); frozen = np.arange(5); frozen.flags.writeable = False
rec = np.array([(1, 2.5)], dtype=[('n', 'i4'), ('v', 'f8')]); masked = np.ma.masked_array([1, 2], [False, True])
fortran = np.asfortranarray(rng0.random((300, 200))); seen_arr = float(arr.sum())
""",
    """
lst = [1, 2, [3]]; lst2 = lst; d_shared = {'lst': lst, 'inner': lst[2]}; cyc = [1]; cyc.append(cyc)
dd = defaultdict(list); dd['k'].append(lst); cnt = Counter('hello'); od = collections.OrderedDict(b=1, a=2)
que = collections.deque([1, 2], 5); st = {1, 'a'}; fs = frozenset((1, 2)); ba = bytearray(b'abc'); mv = memoryview(ba)
chain = collections.ChainMap({'p': 1}, {'q': 2}); ns1 = types.SimpleNamespace(v=lst); big_text = 'x' * 200_000
""",
    """
class Point:
    registry = []
    def __init__(self, x, y): self.x, self.y = x, y; Point.registry.append(self)
    def move(self, k): self.x += k; return self.x
    def __eq__(self, o): return isinstance(o, Point) and (self.x, self.y) == (o.x, o.y)
    @property
    def total(self): return self.x + self.y
    @classmethod
    def origin(cls): return cls(0, 0)
    @staticmethod
    def name(): return 'point'
class Point3(Point):
    def __init__(self, x, y, z): super().__init__(x, y); self.z = z
class Slotted:
    __slots__ = ('a',)
@dataclasses.dataclass
class DC:
    a: int
    b: str = 'q'
    c: list = dataclasses.field(default_factory=list)
class Color(enum.Enum):
    RED = 1
    BLUE = 2
class Flags(enum.IntFlag):
    A = 1
    B = 2
NT = collections.namedtuple('NT', 'u v')
class TN(typing.NamedTuple):
    u: int
    v: str = 'z'
class Bad(Exception):
    def __init__(self, code, detail): super().__init__(f'{code}'); self.detail = detail
p = Point(1, 2); p3 = Point3(1, 2, 3); dc = DC(5); shade = Color.RED; nt = NT(1, 2); tn = TN(4); bound = p.move
slotted = Slotted(); slotted.a = lst; flag = Flags.A | Flags.B; exc = Bad(7, 'why')
""",
    """
cfg = {'scale': 2}; factor = 10
def scaled(v): return v * factor * cfg['scale']
def make_counter():
    n = 0
    def inc():
        nonlocal n; n += 1; return n
    def get(): return n
    return inc, get
inc, get = make_counter(); inc(); inc()
lam = lambda q: q ** 2 + factor
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def outer():
    def even(n): return n == 0 or odd(n - 1)
    def odd(n): return n != 0 and even(n - 1)
    return even
even = outer()
part = functools.partial(scaled, 3)
@functools.lru_cache(None)
def cached(n): return n * 7
cached(2)
def defaults(a, b=lst, *, c={'k': 1}): return a, b, c
def gen_f():
    for i in range(5): yield i
async def coro_f(): return 1
def deco(f):
    @functools.wraps(f)
    def inner(*a): return f(*a) + 1
    return inner
@deco
def decorated(n: int) -> int:
    "doc"
    return n
""",
    """
fig, ax = plt.subplots(); ax.plot([1, 2, 3]); ax.set_title('t')
pat = re.compile(r'(\\d+)-x'); when = dt.datetime(2025, 1, 2, 3, 4, tzinfo=dt.timezone.utc); delta = dt.timedelta(3)
money = decimal.Decimal('1.10'); path = pathlib.Path('/workspace/a.csv'); uid = uuid.UUID(int=5); cplx = 1 + 2j
r1 = random.Random(5); r1.random(); gen_np = np.random.default_rng(11); gen_np.random()
log = logging.getLogger('job'); seen_r1 = random.Random(); seen_r1.setstate(r1.getstate()); seen_r1 = seen_r1.random()
it = iter([1, 2, 3]); next(it); _private = {'mine': lst}; mod = types.ModuleType('made'); mod.value = 4
buf = io.BytesIO(b'abcdef'); buf.read(2); text_io = io.StringIO('hello'); deep = []
for _ in range(20000): deep = [deep]
""",
    """
open('data.txt', 'w').write('line1\\nline2\\n'); fh = open('data.txt'); fh.readline()
conn = sqlite3.connect(':memory:'); conn.execute('create table t(a)'); conn.execute('insert into t values (7)')
conn.commit(); disk = sqlite3.connect('data.db'); disk.execute('create table if not exists u(b)'); disk.commit()
lock = threading.Lock(); rlock = threading.RLock(); ev = threading.Event(); ev.set(); wref = weakref.ref(p)
weaks = weakref.WeakValueDictionary(p=p); shell = get_ipython(); sess = {'log': log, 'lock': lock}; me = globals()
""",
)

HOSTILE = """
gen = gen_f(); next(gen)
writing = open('out.txt', 'w')
import socket; sock = socket.socketpair()[0]
thread = threading.Thread(target=print)
bundle = {'good': small, 'cfg': cfg, 'gen': gen}
class LoadFails:
    def __init__(self, with_): self.v, self.with_ = 1, with_
    def __setstate__(self, s): raise RuntimeError('cannot be rebuilt')
class DumpRaises:
    def __reduce__(self): raise OSError('device gone')
bad_load = LoadFails(lst); bad_dump = DumpRaises()
import hashlib; hasher = hashlib.sha256(b'a')
"""

LOST = {
    "gen": "generator",
    "writing": "reading",
    "sock": "socket",
    "thread": "",
    "bad_load": "cannot be rebuilt",
    "bad_dump": "device gone",
    "hasher": "",
}
"""Names that cannot come back, each with a word of the reason."""

VALUES = {
    "np": "np.__name__ == 'numpy'",
    "js": "js.__name__ == 'json'",
    "df": "digest(df) == seen_df and str(df.cat.dtype) == 'category' and str(df.when.dt.tz) == 'Europe/Paris'",
    "small": "digest(small) == seen_small",
    "col": "col.name == 'x' and col.sum() == df.x.sum()",
    "gb": "len(gb.size()) == 3",
    "frames": "digest(frames['main']) == seen_df",
    "multi": "multi.index.names == ['cat', 'y']",
    "idx": "list(idx) == ['a', 'b']",
    "arr": "float(arr.sum()) == seen_arr and arr.flags.writeable",
    "arr_view": "(arr_view == arr[10:20]).all()",
    "arr_2d": "arr_2d.shape == (5000, 100) and (arr_2d[0] == arr[:100]).all()",
    "arr_t": "arr_t.shape == (100, 5000) and (arr_t == arr_2d.T).all()",
    "arr_back": "(arr_back[:3] == arr[:-4:-1]).all()",
    "tiny_view": "tiny_view[3] == tiny_again[0]",
    "obj_arr": "obj_arr[0] == {'a': 1} and obj_arr.dtype == object",
    "frozen": "frozen.tolist() == [0, 1, 2, 3, 4] and not frozen.flags.writeable",
    "rec": "rec['v'][0] == 2.5",
    "masked": "masked.mask.tolist() == [False, True]",
    "fortran": "fortran.flags.f_contiguous and fortran.shape == (300, 200)",
    "lst": "lst == [1, 2, [3]]",
    "cyc": "cyc[1] is cyc",
    "dd": "dd.default_factory is list and dd['k'] == [lst]",
    "cnt": "cnt['l'] == 2",
    "od": "list(od) == ['b', 'a']",
    "que": "que.maxlen == 5 and list(que) == [1, 2]",
    "st": "st == {1, 'a'}",
    "fs": "fs == frozenset((1, 2))",
    "mv": "bytes(mv) == b'abc'",
    "chain": "chain['q'] == 2",
    "big_text": "len(big_text) == 200_000",
    "Point": "Point(3, 4).total == 7 and Point.name() == 'point' and Point.origin().x == 0",
    "Point3": "Point3(1, 2, 3).z == 3",
    "DC": "DC(5) == DC(5) and DC(1).c == []",
    "Color": "Color(1).name == 'RED' and list(Color)[1].value == 2",
    "NT": "NT(1, 2).u == 1",
    "TN": "TN(1).v == 'z'",
    "p": "(p.x, p.y) == (1, 2)",
    "p3": "(p3.z, p3.move(0)) == (3, 1)",
    "dc": "dc.a == 5 and dc.b == 'q'",
    "shade": "shade.name == 'RED'",
    "flag": "flag == Flags.A | Flags.B",
    "nt": "nt.v == 2",
    "tn": "tn.u == 4",
    "slotted": "slotted.a == lst",
    "exc": "exc.args == ('7',) and exc.detail == 'why' and isinstance(exc, Bad)",
    "scaled": "scaled(3) == 60",
    "inc": "inc() == get()",
    "make_counter": "make_counter()[0]() == 1",
    "lam": "lam(3) == 19",
    "fact": "fact(5) == 120",
    "even": "even(10) and not even(7)",
    "part": "part() == 60",
    "cached": "cached(3) == 21 and cached.cache_info().maxsize is None",
    "defaults": "defaults(1) == (1, lst, {'k': 1})",
    "gen_f": "list(gen_f()) == [0, 1, 2, 3, 4]",
    "coro_f": "coro_f.__code__.co_flags & 128",
    "decorated": "decorated(1) == 2 and decorated.__doc__ == 'doc' and decorated.__annotations__['n'] is int",
    "fig": "len(fig.axes) == 1",
    "ax": "ax.get_title() == 't'",
    "pat": "pat.match('12-x').group(1) == '12'",
    "when": "when.year == 2025 and delta.days == 3",
    "money": "str(money) == '1.10'",
    "path": "str(path) == '/workspace/a.csv'",
    "uid": "uid.int == 5",
    "r1": "__import__('copy').deepcopy(r1).random() == seen_r1",
    "gen_np": "type(gen_np).__name__ == 'Generator'",
    "log": "log is logging.getLogger('job')",
    "it": "list(__import__('copy').copy(it)) == [2, 3]",
    "_private": "_private['mine'] == lst",
    "mod": "mod.value == 4",
    "buf": "buf.tell() == 2 and buf.getvalue() == b'abcdef'",
    "text_io": "text_io.getvalue() == 'hello'",
    "deep": "str(type(deep)) == \"<class 'list'>\" and len(deep) == 1",
    "fh": "fh.tell() == 6",
    "conn": "conn.execute('select a from t').fetchall() == [(7,)]",
    "disk": "disk.execute('select * from u').fetchall() == []",
    "lock": "lock.acquire(False) and lock.release() is None",
    "rlock": "rlock.acquire(False) and rlock.release() is None",
    "ev": "ev.is_set()",
    "wref": "wref() is p",
    "weaks": "weaks['p'] is p",
    "shell": "shell is get_ipython()",
    "me": "me is globals()",
}
"""By the variable that each is about."""

SHARED = (
    "lst2 is lst",
    "d_shared['lst'] is lst",
    "d_shared['inner'] is lst[2]",
    "dd['k'][0] is lst",
    "ns1.v is lst",
    "slotted.a is lst",
    "_private['mine'] is lst",
    "defaults(1)[1] is lst",
    "frames['main'] is df",
    "frames['small'] is small",
    "np.shares_memory(arr_view, arr)",
    "np.shares_memory(arr_2d, arr)",
    "np.shares_memory(arr_t, arr)",
    "np.shares_memory(arr_back, arr)",
    "np.shares_memory(tiny_view, tiny_again)",
    "mv.obj is ba",
    "isinstance(p, Point) and type(p3) is Point3 and issubclass(Point3, Point)",
    "dc == DC(5)",
    "shade is Color.RED",
    "isinstance(nt, NT) and isinstance(tn, TN)",
    "Point.registry[0] is p",
    "bound.__self__ is p",
    "scaled.__globals__ is globals()",
    "Point.move.__globals__ is globals()",
    "part.func is scaled",
    "ax.figure is fig",
    "sess['lock'] is lock",
    "globals().update(factor=1) or scaled(3) == 6 and globals().update(factor=10) is None",
)
