"""How the estimates under several conditionings become one: guiders, and patches that change guidance."""
