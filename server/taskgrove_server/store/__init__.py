"""What is stored: Peewee models, migrations and queries."""
