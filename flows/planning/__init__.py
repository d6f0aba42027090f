"""What is known and decided before money is spent: what is new, what it may cost, who has said yes."""
