"""What is kept with communicators and datatypes: attributes, names, hints, error handlers."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI
from support.case import Case, not_on, our_extension, ours_only


class Attributes(Case):
    def test_values_are_any_objects(self) -> None:
        key = MPI.Comm.Create_keyval()
        value = {"a": [1, 2]}
        self.assertIsNone(self.comm.Get_attr(key))
        self.comm.Set_attr(key, value)
        self.assertIs(self.comm.Get_attr(key), value)
        self.comm.Set_attr(key, 7)
        self.assertEqual(self.comm.Get_attr(key), 7)
        self.comm.Delete_attr(key)
        self.assertIsNone(self.comm.Get_attr(key))
        MPI.Comm.Free_keyval(key)

    def test_duplicates_get_what_the_copy_function_says(self) -> None:
        asked: list[Any] = []

        def twice(comm: MPI.Comm, key: int, value: Any) -> Any:
            asked.append(comm == self.comm)
            return NotImplemented if value == "stays" else value * 2

        keys = [MPI.Comm.Create_keyval(copy) for copy in (None, False, True, twice, twice)]
        for key, value in zip(keys, (1, 2, 3, 4, "stays"), strict=True):
            self.comm.Set_attr(key, value)
        copy = self.comm.Dup()
        self.assertEqual([copy.Get_attr(key) for key in keys], [None, None, 3, 8, None])
        self.assertEqual(asked, [True, True])
        copy.Free()
        for key in keys:
            self.comm.Delete_attr(key)
            MPI.Comm.Free_keyval(key)

    @ours_only("the standard leaves the order open, save for MPI_COMM_SELF at the end")
    def test_they_go_in_reverse_order_even_if_their_keys_are_gone(self) -> None:
        gone: list[int] = []
        copy = self.comm.Dup()
        for value in range(5):
            key = MPI.Comm.Create_keyval(None, lambda comm, key, value: gone.append(value))
            copy.Set_attr(key, value)
            MPI.Comm.Free_keyval(key)
        copy.Free()
        self.assertEqual(gone, [4, 3, 2, 1, 0])

    def test_a_value_that_is_replaced_goes(self) -> None:
        gone: list[int] = []
        key = MPI.Comm.Create_keyval(None, lambda comm, key, value: gone.append(value))
        for value in (1, 2, 3):
            self.comm.Set_attr(key, value)
        self.comm.Delete_attr(key)
        self.assertEqual(gone, [1, 2, 3])
        MPI.Comm.Free_keyval(key)

    @our_extension("the original has it, but its values show nothing")
    def test_the_registry_of_keys(self) -> None:
        def copy(*args: Any) -> None: ...

        key = MPI.Comm.Create_keyval(copy, None, nopython=True)
        known = MPI._keyval_registry["Comm"][key]
        self.assertEqual((known.copy_fn, known.delete_fn, known.nopython), (copy, None, True))
        self.assertNotIn(key, MPI._keyval_registry["Datatype"])
        MPI.Comm.Free_keyval(key)
        self.assertNotIn(key, MPI._keyval_registry["Comm"])
        self.assertEqual(set(MPI._keyval_registry), {"Datatype", "Comm", "Win"})


class Hints(Case):
    DEFAULTS = (
        "mpi_assert_no_any_tag",
        "mpi_assert_no_any_source",
        "mpi_assert_exact_length",
        "mpi_assert_allow_overtaking",
    )

    @not_on("Open MPI", "shows hints only when they were set")
    def test_all_are_told_with_their_defaults(self) -> None:
        for comm in (MPI.COMM_WORLD, MPI.COMM_SELF, self.comm):
            info = comm.Get_info()
            self.assertEqual([info.get(key) for key in self.DEFAULTS], ["false"] * 4)
            self.assertEqual(set(info.get("mpi_memory_alloc_kinds").split(",")[:2]), {"mpi", "system"})
            info.Free()

    @not_on("Open MPI", "keeps other hints")
    def test_those_that_are_known_are_kept(self) -> None:
        info = MPI.Info.Create({"mpi_assert_no_any_tag": "true", "mpi_assert_exact_length": "perhaps", "colour": "red"})
        copy = self.comm.Dup(info)
        got = copy.Get_info()
        self.assertEqual(got.get("mpi_assert_no_any_tag"), "true")
        self.assertIn(got.get("mpi_assert_exact_length"), ("false", None))
        info.Set("mpi_assert_no_any_tag", "false")
        copy.Set_info(info)
        self.assertEqual(copy.Get_info().get("mpi_assert_no_any_tag"), "false")
        copy.Free()


class Made(Case):
    """What is made of nothing, and for whom it is not made."""

    @not_on("Open MPI", "crashes")
    def test_empty_groups_make_no_communicator(self) -> None:
        self.assertEqual(MPI.Intracomm.Create_from_group(MPI.GROUP_EMPTY), MPI.COMM_NULL)
        own = MPI.COMM_SELF.Get_group()
        for local, remote in ((MPI.GROUP_EMPTY, own), (own, MPI.GROUP_EMPTY)):
            self.assertEqual(MPI.Intercomm.Create_from_groups(local, 0, remote, 0), MPI.COMM_NULL)

    def test_logical_types_by_size(self) -> None:
        if MPI.TYPECLASS_LOGICAL == MPI.UNDEFINED:
            self.skipTest("this mpi4py does not know the class")
        for size in (1, 2, 4, 8):
            try:
                found = MPI.Datatype.Match_size(MPI.TYPECLASS_LOGICAL, size)
            except MPI.Exception:
                self.assertTrue(
                    not hasattr(MPI, f"LOGICAL{size}") or getattr(MPI, f"LOGICAL{size}") == MPI.DATATYPE_NULL
                )
            else:
                self.assertEqual(found.size, size)
        with self.mpi_error(MPI.ERR_ARG, MPI.ERR_OTHER, MPI.ERR_TYPE):
            MPI.Datatype.Match_size(MPI.TYPECLASS_LOGICAL, 3)


class Handlers(Case):
    """Error handlers written in Python."""

    @ours_only("others do not ask the handler of an object that is to be made")
    def test_handlers_of_objects_to_be_made(self) -> None:
        seen: list[Any] = []
        handler = MPI.Comm.Create_errhandler(lambda comm, code: seen.append((comm, MPI.Get_error_class(code))))
        with self.mpi_error(MPI.ERR_ARG):
            MPI.Intracomm.Create_from_group(MPI.COMM_SELF.Get_group(), "x" * 5000, errhandler=handler)
        self.assertEqual(seen, [(MPI.COMM_NULL, MPI.ERR_ARG)])
        handler.Free()

    def test_of_communicators_and_sessions(self) -> None:
        seen: list[Any] = []
        handler = MPI.Comm.Create_errhandler(lambda comm, code: seen.append((comm == self.comm, code)))
        self.comm.Set_errhandler(handler)
        self.comm.Call_errhandler(MPI.ERR_TAG)
        self.comm.Set_errhandler(MPI.ERRORS_RETURN)
        session_handler = MPI.Session.Create_errhandler(lambda session, code: seen.append((bool(session), code)))
        session = MPI.Session.Init()
        session.Set_errhandler(session_handler)
        session.Call_errhandler(MPI.ERR_ARG)
        session.Finalize()
        self.assertEqual(seen, [(True, MPI.ERR_TAG), (True, MPI.ERR_ARG)])
        session_handler.Free()
        handler.Free()
