"""Learning which model a prompt needs: what is taught, what is learned of it, and the advice that comes of both.

Owns: lessons and the adviser who decides by them, the dials, teaching and what becomes of live answers (judges and
their credit). Refuses: arithmetic (`policy`), rows and shelves (`stores`, `vectors`), and ASGI.
"""
