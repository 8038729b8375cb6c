class Exception(RuntimeError):
    """Error of an MPI call."""

    def __init__(self, ierr=SUCCESS, /):
        """Exception(ierr: int = SUCCESS)

        Make an exception from an error code.
        """
        ierr = index(ierr)
        if ierr < SUCCESS:
            ierr = ERR_UNKNOWN
        super().__init__(ierr)
        self._code = ierr
        self._class = error_class(ierr)
        self._string = error_string(ierr)

    def __eq__(self, other):
        return self._code == _code(other)

    def __ne__(self, other):
        return self._code != _code(other)

    def __lt__(self, other):
        return self._code < _code(other)

    def __le__(self, other):
        return self._code <= _code(other)

    def __gt__(self, other):
        return self._code > _code(other)

    def __ge__(self, other):
        return self._code >= _code(other)

    def __hash__(self):
        return hash(self._code)

    def __bool__(self):
        return self._code != SUCCESS

    def __int__(self):
        return self._code

    def __repr__(self):
        return f"MPI.Exception({self._code})"

    def __str__(self):
        return self._string

    def Get_error_code(self) -> int:
        """Get_error_code(self) -> int

        Error code.
        """
        return self._code

    def Get_error_class(self) -> int:
        """Get_error_class(self) -> int

        Error class, one of the ERR_* constants.
        """
        return self._class

    def Get_error_string(self) -> str:
        """Get_error_string(self) -> str

        What went wrong.
        """
        return self._string

    error_code = property(Get_error_code, doc="Error code.")
    error_class = property(Get_error_class, doc="Error class.")
    error_string = property(Get_error_string, doc="What went wrong.")


def _code(other):
    return other._code if isinstance(other, Exception) else other


class NotSupported(Exception, NotImplementedError):
    """An operation that the MPI library in use does not offer."""


NotSupported.__qualname__ = NotSupported.__name__ = "Exception"
