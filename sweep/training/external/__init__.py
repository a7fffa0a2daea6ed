"""Trials that another program trains: it is started, followed, judged and ended from here."""
