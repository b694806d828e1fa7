select *
from {{ params.table }}
where day = "{{ ds }}" -- {{ mine(2) }}
