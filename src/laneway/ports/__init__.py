"""The narrow doors through which rooms ask the world for something.

Owns: one Protocol per question, a file for each subject. A middleware takes the port it asks, never a bundle.
Refuses: any implementation; adapters live in `stores/`, `upstream/` and `vectors`.
"""

from laneway.ports.adviser import Advice as Advice
from laneway.ports.adviser import Adviser as Adviser
from laneway.ports.adviser import Case as Case
from laneway.ports.callers import Keys as Keys
from laneway.ports.callers import Pin as Pin
from laneway.ports.callers import Pins as Pins
from laneway.ports.callers import Sessions as Sessions
from laneway.ports.dials import Dials as Dials
from laneway.ports.examples import Change as Change
from laneway.ports.examples import Example as Example
from laneway.ports.examples import Examples as Examples
from laneway.ports.examples import Filter as Filter
from laneway.ports.examples import Label as Label
from laneway.ports.examples import Rows as Rows
from laneway.ports.examples import Setting as Setting
from laneway.ports.examples import Shelf as Shelf
from laneway.ports.examples import Shelves as Shelves
from laneway.ports.money import Allowance as Allowance
from laneway.ports.money import Book as Book
from laneway.ports.money import BookEntry as BookEntry
from laneway.ports.money import Hold as Hold
from laneway.ports.money import Kill as Kill
from laneway.ports.money import Ledger as Ledger
from laneway.ports.money import Left as Left
from laneway.ports.money import Moved as Moved
from laneway.ports.money import Share as Share
from laneway.ports.money import Short as Short
from laneway.ports.notices import Alert as Alert
from laneway.ports.notices import Notice as Notice
from laneway.ports.notices import Notices as Notices
from laneway.ports.receipts import Neighbour as Neighbour
from laneway.ports.receipts import Receipt as Receipt
from laneway.ports.receipts import Receipts as Receipts
from laneway.ports.receipts import Stood as Stood
from laneway.ports.records import LABELS as LABELS
from laneway.ports.records import Audit as Audit
from laneway.ports.records import Audited as Audited
from laneway.ports.records import Figures as Figures
from laneway.ports.records import Found as Found
from laneway.ports.records import Journal as Journal
from laneway.ports.records import Question as Question
from laneway.ports.records import Reports as Reports
from laneway.ports.records import Search as Search
from laneway.ports.records import Tally as Tally
from laneway.ports.runs import Run as Run
from laneway.ports.runs import Runs as Runs
from laneway.ports.shadows import KINDS as KINDS
from laneway.ports.shadows import Beside as Beside
from laneway.ports.shadows import Choice as Choice
from laneway.ports.shadows import Evidence as Evidence
from laneway.ports.shadows import LaneFigures as LaneFigures
from laneway.ports.shadows import ShadowRow as ShadowRow
from laneway.ports.shadows import Shadows as Shadows
from laneway.ports.standings import STAGED as STAGED
from laneway.ports.standings import Standing as Standing
from laneway.ports.standings import Standings as Standings
from laneway.ports.upstream import Call as Call
from laneway.ports.upstream import Clocks as Clocks
from laneway.ports.upstream import Reply as Reply
from laneway.ports.upstream import Upstream as Upstream
from laneway.ports.witness import Witness as Witness
