"""What is read. Selectors name what they return, take many ids and give a dict in one statement; they write nothing."""
