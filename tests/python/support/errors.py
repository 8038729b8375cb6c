"""What the tests of bad input have in common."""

from __future__ import annotations

import re

from support import data
from support.case import Case


class ErrorCase(Case):
    def tearDown(self) -> None:
        """Whatever was refused, the communicator is in order."""
        if not self.broken:
            room = data.Room(100)
            self.comm.Sendrecv(data.message(self.rank, 100), self.right, 9, room.bytes, self.left, 9)
            self.good(room.wrong(self.left, 100), "afterwards")
            self.assertEqual(self.comm.allreduce(1), self.size)
            self.assertFalse(self.comm.Iprobe(), "a message was left over")
        super().tearDown()

    def numbers_in(self, text: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", text)]
