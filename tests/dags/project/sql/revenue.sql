select month, sum(amount) from orders group by month
