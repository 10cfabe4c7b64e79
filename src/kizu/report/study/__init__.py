"""The report of a study of domain shift: one document, as HTML, as PDF, and its tables by themselves."""
