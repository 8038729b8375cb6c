"""What the Python tests share: `case` (base class and marks), `data` (bytes to send), `rank` (runs a file on a rank)."""
