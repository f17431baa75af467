"""A file of rows, from its bytes to what each row means.

files       bytes → rows with the names of their columns (CSV, JSON lines, a JSON list)
columns     which column is the text, which the label, and which are not used
labels      what the labels of a file are: ids, names or 0/1 vectors, one meaning for all of its rows
targets     the other things that a row can be judged by: numbers, answers
"""
