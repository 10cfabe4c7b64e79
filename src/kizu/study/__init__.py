"""A study of domain shift: what a changed line costs each method, and what wins it back."""
